"""Tables of what fits, by arithmetic on released configurations: frames in a context, memory of a GPU. No torch."""

import pandas as pd

from oryx.errors import SettingsError
from oryx.grids import Size, video_token_count
from oryx.processing import context as released
from oryx.processing import fit
from oryx.processing.context import PROMPT_TOKENS, RULES, SIZES
from oryx.processing.shapes import FORMATS, KNOWN, Shape

COLUMNS = ["numbers", "shown", "visual tokens", "weights, GB", "needed, GB", "fits", "first token, s"]
COLUMNS += ["most frames: context", "memory", "memory, in chunks"]


def context_table() -> pd.DataFrame:
    """Frames that fit each released context, by frame size and compression."""
    shown = [(*its, frame, ratio) for its in released.CONTEXTS.items() for frame in SIZES for ratio in RULES]
    grids = [released.compressed(SIZES[frame], ratio) for _, _, frame, ratio in shown]
    return pd.DataFrame(
        {
            "model": model,
            "context": context,
            "frame": frame,
            "compression": f"{ratio}x",
            "tokens per frame": released.frame_tokens(grid),
            "frames that fit": released.frames_that_fit(context, grid),
            "1,600 frames need": video_token_count(1600, grid) + PROMPT_TOKENS,
        }
        for (model, context, frame, ratio), grid in zip(shown, grids, strict=True)
    )


def memory_table(shape: Shape, room: float, frames: int, size: Size, tera: float = fit.OPERATIONS) -> pd.DataFrame:
    """A line per number format and visual of ``size`` (height, width): a picture, and ``frames`` frames at each ratio.

    ``room``: what the device has; here and in the table gigabytes are 10⁹ bytes. The most frames are those that the
    context holds, that memory holds in one ``ask``, and that it holds if CHUNK frames are encoded at a time.
    Raises SettingsError for a number that is not above 0.
    """
    if min(room, frames, tera) <= 0:
        raise SettingsError(f"expected GB, frames and TFLOP/s above 0, got {room:g}, {frames:g} and {tera:g}")
    patch, context, most_bytes, lines = shape.tower["patch_size"], shape.context, room * fit.GIGA, []
    for numbers in list(FORMATS)[1:]:
        for ratio in (None, *sorted(RULES)):
            shown = fit.video(frames, size, ratio, patch) if ratio else fit.picture(size, patch)
            found, over = fit.memory(shape, shown, numbers), context and shown.tokens + PROMPT_TOKENS > context
            line = [numbers, f"{frames} frames at {ratio}x" if ratio else "a picture", f"{shown.tokens:,}"]
            line += [f"{found.weights / fit.GIGA:.1f}", f"{found.needed / fit.GIGA:.1f}"]
            line += ["no" if found.needed > most_bytes else "over the context" if over else "yes"]
            line += [f"{sum(fit.seconds(shape, shown, numbers, tera)):.2f}"]
            held = released.frames_that_fit(context or 0, released.compressed(size, ratio or 1, patch=patch))
            most = (fit.most_frames(shape, most_bytes, size, ratio or 1, numbers, n) for n in (None, fit.CHUNK))
            last = [f"{held:,}" if context else "not known", *(f"{one:,}" for one in most)]
            lines.append([*line, *(last if ratio else [""] * len(last))])
    return pd.DataFrame(lines, columns=COLUMNS)


def assumptions(shape: Shape, room: float, size: Size, tera: float = fit.OPERATIONS) -> list[str]:
    """What the numbers of :func:`memory_table` rest on: two lines about this model, then those about any."""
    read = ", ".join(f"{ratio}x {{1}}x{{0}}".format(*released.frame_size(size, ratio)) for ratio in sorted(RULES))
    context = f"{shape.context:,} tokens" if shape.context else "not known"
    values = {"name": shape.name, "note": shape.note, "size": f"{size[1]}x{size[0]}", "read": read, "context": context}
    values |= {"prompt": PROMPT_TOKENS, "fixed": fit.FIXED / fit.GIGA, "lost": fit.LOST, "room": room, "tera": tera}
    values |= {"share": fit.SHARE, "bytes": fit.BYTES, "chunk": fit.CHUNK}
    return [line.format(**values).strip() for line in KNOWN["assumptions"]]
