"""Thresholds by which the paper's claims are judged; when they were stated is on the page of the claims."""

from dataclasses import dataclass

from worldvla.params.ranges import at_least, between, check

# Of every page, two-sided: an effect is shown where its interval, at 95 %, excludes zero. No param: it is typed in sentences.
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class ClaimsParams:
    """When a claim holds, and which effects are too small to matter."""

    # Effects within minus and plus the margin are too small to matter: differences of success rates in percentage points,
    # differences of PSNR in dB. Of a claim whose paper's effect is smaller than twice the margin, half of that effect.
    margin_points: float
    margin_db: float
    # Trainings of each of the two models that are compared, without which nothing is judged; one alone has no spread.
    trainings: int
    # Chance to find an effect, for which the smallest effect that we would find is stated.
    power: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        check(
            self,
            margin_points=between(0, 100),
            margin_db=at_least(0),
            trainings=at_least(2),
            power=between(0.5, 0.99),
        )
