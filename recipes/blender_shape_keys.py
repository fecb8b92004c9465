"""Animate shape keys in Blender from a Live Link Face CSV, such as `facelm convert` and `facelm animate` write.

    blender head.blend --python recipes/blender_shape_keys.py -- take.csv
    blender head.blend --background --python recipes/blender_shape_keys.py -- take.csv --head Head --save out.blend

Runs inside Blender and needs nothing but this file. Every mesh (or those named by --object) whose shape keys have
ARKit's names gets a new action; eyeBlinkLeft, EyeBlinkLeft, eyeBlink_L and eyeBlink.L are the same. Rows without a face
are left out, and Blender interpolates over them. The scene's rate and length become those of the take.
"""

import argparse
import csv
import gzip
import re
import statistics
import sys

import bpy
from mathutils import Euler, Matrix

RATES = {24: (24, 1), 25: (25, 1), 30: (30, 1), 48: (48, 1), 50: (50, 1), 60: (60, 1)}
RATES |= {n / 1.001: (n, 1.001) for n in (24, 30, 48, 60)}  # Blender's fps and fps_base
HEAD = ("headyaw", "headpitch", "headroll")
LINEAR = 1  # of a keyframe's interpolation
TO_BLENDER = Matrix(((1, 0, 0), (0, 0, -1), (0, 1, 0)))  # y up, z out of the face -> z up, -y out of the face


def main() -> None:
    parser = argparse.ArgumentParser(prog="blender_shape_keys.py", description=__doc__.splitlines()[0])
    parser.add_argument("take", help="Live Link Face CSV (.csv, .csv.gz)")
    parser.add_argument("--object", action="append", help="a mesh with shape keys; all that have fitting ones without")
    parser.add_argument("--head", help="the bone, or else the object, that the head angles turn")
    parser.add_argument("--first-frame", type=int, default=1)
    parser.add_argument("--save", metavar="BLEND", help="save the scene to this .blend file")
    options = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else None)

    seconds, columns = read_take(options.take)
    fps, base = rate_of(seconds)
    frames = [options.first_frame + second * fps / base for second in seconds]
    frames = [round(frame) if abs(frame - round(frame)) < 0.3 else frame for frame in frames]
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = fps, base
    scene.frame_start, scene.frame_end = options.first_frame, round(frames[-1])

    used = animate_shapes(meshes(options.object, columns), frames, columns, options.take)
    if options.head:
        turn_head(options.head, frames, [columns[name] for name in HEAD])
    print(f"{options.take}: {len(frames)} frames at {fps / base:.2f} fps on {used} shape keys")
    if options.save:
        bpy.ops.wm.save_as_mainfile(filepath=options.save)


def read_take(path: str) -> tuple[list[float], dict[str, list[float]]]:
    """Seconds from the first row, and the values of each column by its name in lower case."""
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    names = [key(name) for name in header]
    if "timecode" not in names or "jawopen" not in names:
        sys.exit(f"{path} is no Live Link Face CSV (Timecode, BlendshapeCount, EyeBlinkLeft, ...); see facelm convert")
    seconds, values = [], []
    for row in rows:
        if len(row) < len(header):
            continue  # no face was seen
        hours, minutes, second, frame = re.split("[:;]", row[names.index("timecode")])
        time = (int(hours) * 60 + int(minutes)) * 60 + int(second) + float(frame) / 60  # always sixtieths
        if seconds and time < seconds[-1] - 43200:
            time += 86400  # past midnight
        if not seconds or time > seconds[-1]:
            seconds.append(time)
            values.append([float(cell) for cell in row[2:]])
    if not values:
        sys.exit(f"{path} has no row with a face")
    columns = dict(zip(names[2:], (list(column) for column in zip(*values, strict=True)), strict=True))
    return [second - seconds[0] for second in seconds], columns


def rate_of(seconds: list[float]) -> tuple[int, float]:
    """Blender's fps and fps_base of the standard rate nearest to the rows' own."""
    if len(seconds) < 2:
        return 60, 1
    step = statistics.median(b - a for a, b in zip(seconds, seconds[1:], strict=False))
    regular = [b - a for a, b in zip(seconds, seconds[1:], strict=False) if b - a < 1.5 * step]
    measured = len(regular) / sum(regular)
    return RATES[min(RATES, key=lambda rate: abs(rate - measured))]


def key(name: str) -> str:
    """A shape's name in one spelling: lower case, without separators, the side in full."""
    side = re.search(r"(?:[\s._-]+([LlRr])|(?<=[a-z])([LR]))$", name.strip())
    if side:
        name = name.strip()[: side.start()] + ("left" if (side[1] or side[2]) in "lL" else "right")
    return re.sub("[^a-z0-9]", "", name.lower())


def meshes(named: list[str] | None, columns: dict[str, list[float]]) -> list[bpy.types.Object]:
    """The meshes to animate: those named, else all with a shape key that has a column."""
    absent = [name for name in named or () if name not in bpy.data.objects]
    if absent:
        sys.exit(f"there is no object {absent[0]}; the scene has {', '.join(bpy.data.objects.keys())}")
    found = [bpy.data.objects[name] for name in named] if named else list(bpy.context.scene.objects)
    found = [o for o in found if o.type == "MESH" and o.data.shape_keys]
    found = [o for o in found if any(key(block.name) in columns for block in o.data.shape_keys.key_blocks)]
    if not found:
        sys.exit("no mesh has shape keys with ARKit's names (jawOpen, eyeBlinkLeft or eyeBlink_L, ...); rename them")
    return found


def animate_shapes(
    objects: list[bpy.types.Object], frames: list[float], columns: dict[str, list[float]], name: str
) -> int:
    used = 0
    for keys in {o.data.shape_keys for o in objects}:
        new_action(keys, f"{name} {keys.name}")
        for block in keys.key_blocks:
            values = columns.get(key(block.name))
            if values is None or block == keys.reference_key:
                continue
            # Trackers overshoot; Blender would clip the value at the end of its slider.
            block.slider_max, block.slider_min = max(block.slider_max, *values), min(block.slider_min, *values)
            write_curve(keys, f'key_blocks["{bpy.utils.escape_identifier(block.name)}"].value', -1, frames, values)
            used += 1
    return used


def turn_head(name: str, frames: list[float], angles: list[list[float]]) -> None:
    """Turn a bone or object by yaw, pitch and roll: radians, about y up, x to the left and z out of the face."""
    armatures = [o for o in bpy.context.scene.objects if o.type == "ARMATURE" and name in o.pose.bones]
    if armatures:
        owner, target = armatures[0], armatures[0].pose.bones[name]
        path = f'pose.bones["{bpy.utils.escape_identifier(name)}"].rotation_quaternion'
        rest = (owner.matrix_world @ target.bone.matrix_local).to_quaternion().to_matrix()
        start = Matrix.Identity(3)
    elif name in bpy.data.objects:
        owner = target = bpy.data.objects[name]
        path = "rotation_quaternion"
        rest = owner.parent.matrix_world.to_quaternion().to_matrix() if owner.parent else Matrix.Identity(3)
        start = rest.inverted() @ owner.matrix_world.to_quaternion().to_matrix()
    else:
        sys.exit(f"there is no bone and no object {name}")
    target.rotation_mode = "QUATERNION"
    turns = []
    for yaw, pitch, roll in zip(*angles, strict=True):
        turn = TO_BLENDER @ yaw_pitch_roll(yaw, pitch, roll) @ TO_BLENDER.inverted()
        quaternion = (rest.inverted() @ turn @ rest @ start).to_quaternion()
        if turns:
            quaternion.make_compatible(turns[-1])
        turns.append(quaternion)
    new_action(owner, f"head {name}")
    for index in range(4):
        write_curve(owner, path, index, frames, [turn[index] for turn in turns])


def yaw_pitch_roll(yaw: float, pitch: float, roll: float) -> Matrix:
    """Ry(yaw) Rx(pitch) Rz(roll)."""
    turns = (Euler((0, yaw, 0)), Euler((pitch, 0, 0)), Euler((0, 0, roll)))
    about_y, about_x, about_z = (turn.to_matrix() for turn in turns)
    return about_y @ about_x @ about_z


def new_action(owner: bpy.types.ID, name: str) -> None:
    (owner.animation_data or owner.animation_data_create()).action = bpy.data.actions.new(name)


def write_curve(owner: bpy.types.ID, path: str, index: int, frames: list[float], values: list[float]) -> None:
    """All keys of one curve at once: Blender makes it with its first key, as inserting each would take minutes."""
    owner.keyframe_insert(path, index=index, frame=frames[0])
    data = owner.animation_data
    if hasattr(data, "action_slot"):  # Blender 4.4 and later
        curves = data.action.layers[0].strips[0].channelbag(data.action_slot).fcurves
    else:
        curves = data.action.fcurves
    curve = curves.find(path, index=max(index, 0))
    curve.keyframe_points.add(len(frames) - len(curve.keyframe_points))
    curve.keyframe_points.foreach_set("co", [part for pair in zip(frames, values, strict=True) for part in pair])
    curve.keyframe_points.foreach_set("interpolation", [LINEAR] * len(frames))
    curve.update()


main()
