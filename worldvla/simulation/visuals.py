"""Cheap, plain looks: 8 to 37 % of LIBERO's rendering time, and a robot in colours that a policy can use.

The embedded suites have them always, LIBERO's scenes when ``looks`` says simple.

Physics is untouched: only geoms that are seen and do not collide change.
"""

import copy
import xml.etree.ElementTree as ET
from typing import Any

import mujoco
import numpy as np

HARMLESS = {"group": "1", "contype": "0", "conaffinity": "0", "mass": "0"}
ARM = "0.78 0.78 0.80 1"
HAND = "0.90 0.20 0.85 1"
FINGER = "1.0 1.0 0.25 1"
# link1's collision mesh alone has 12,500 of the robot's 14,000 faces, and is hardly ever in view.
LINK1 = {"type": "capsule", "size": "0.06 0.09", "pos": "0 0 -0.05"}

# Boxes around the fingers, so that a picture of 96 pixels shows where they are and whether they are open.
SLEEVES = {"finger1_collision": "0 0.015 0.030", "finger2_collision": "0 -0.015 0.030"}
SLEEVE_HALF_SIZE = "0.014 0.014 0.026"


def camera_quaternion(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the quaternion (w, x, y, z) of a MuJoCo camera at ``position`` that looks at ``target``, z up."""
    backward = (position - target) / np.linalg.norm(position - target)
    right = np.cross((0.0, 0.0, 1.0), backward)
    right /= np.linalg.norm(right)
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.stack([right, np.cross(backward, right), backward], 1).reshape(-1))
    return quaternion


def simplify(root: ET.Element) -> None:
    """Show the robot by its collision meshes in plain colours, without shadows, reflections and anti-aliasing.

    Every asset that nothing uses any more is dropped.
    """
    for body in root.iter("body"):
        name = body.get("name") or ""
        if name.startswith(("robot0", "gripper0", "mount0")):
            _simplify_body(body, hidden=name.startswith("mount0"))
    asset = root.find("asset")
    assert asset is not None
    for kind in ("mesh", "material"):
        used = {geom.get(kind) for geom in root.iter("geom")}
        for element in [element for element in asset.findall(kind) if element.get("name") not in used]:
            asset.remove(element)
    textures = {material.get("texture") for material in asset.findall("material")}
    for texture in [texture for texture in asset.findall("texture") if texture.get("name") not in textures]:
        asset.remove(texture)
    for material in asset.findall("material"):
        material.set("reflectance", "0")
    for light in root.iter("light"):
        light.set("castshadow", "false")
    # What the renderer's context then need not make room for: most of the time that a simulator takes to start.
    _child(_child(root, "visual"), "quality").attrib.update({"offsamples": "0", "shadowsize": "0"})


def _child(element: ET.Element, tag: str) -> ET.Element:
    found = element.find(tag)
    return ET.SubElement(element, tag) if found is None else found


def forget_hidden(robot: Any, root: ET.Element) -> None:
    """Let a robosuite robot forget the geoms that ``simplify`` removed: it looks them up by name for segmentation."""
    shown = {geom.get("name") for geom in root.iter("geom")}
    for model in (robot, robot.mount, *robot.grippers.values()):
        model._visual_geoms = [name for name in model._visual_geoms if model.naming_prefix + name in shown]


def _simplify_body(body: ET.Element, hidden: bool) -> None:
    seen = [geom for geom in body.findall("geom") if geom.get("group") == "1"]
    solid = [geom for geom in body.findall("geom") if geom.get("group") == "0" and geom.get("type") == "mesh"]
    for geom in seen:
        body.remove(geom)
    for geom in [] if hidden else solid:
        body.append(_shown(geom))
        for name, position in SLEEVES.items():
            if geom.get("name", "").endswith(name):
                sleeve = {"type": "box", "pos": position, "size": SLEEVE_HALF_SIZE, "rgba": FINGER}
                ET.SubElement(body, "geom", HARMLESS | sleeve | {"name": f"{geom.get('name')}_sleeve"})


def _shown(solid: ET.Element) -> ET.Element:
    """Return a geom that is seen and does not collide, with the shape of one that collides and is not seen."""
    name = solid.get("name", "")
    geom = copy.deepcopy(solid)
    for key in ("solref", "solimp", "friction", "condim", "material"):
        geom.attrib.pop(key, None)
    colour = FINGER if "finger" in name else HAND if "hand" in name else ARM
    geom.attrib.update(HARMLESS | {"name": f"{name}_shown", "rgba": colour})
    if name.endswith("link1_collision"):
        geom.attrib.pop("mesh")
        geom.attrib.update(LINK1)
    return geom


def tune_renderer(context: Any) -> None:
    """Switch off shadows and reflections in a robosuite render context."""
    for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
        context.scn.flags[flag] = 0
