"""Every kind of page, of runs and of solve, lfa and compare-smoothers, in headless Chromium, at the
widths of a phone, a tablet and a screen: no error, every picture drawn, nothing wider than the
page, no gap below a picture, every entry of a legend in view, nothing cut by paper, sliders that
move, numbers that are those of --json, and a picture alone as PDF.

    python tests/browser.py [RUN ...] [--keep DIR]

`make browser` trains small runs for it where none are given. With --keep the pages and their
screenshots stay there to be looked at.
"""

import argparse
import base64
import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WIDTHS = (390, 800, 1600)
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WRONG = ("errors", "wide", "gaps", "hidden", "cut", "still")  # what is found of a page
# Within the page: what it finds is told to the frame around it.
PROBE = """<script>
// a frame that is not painted has no animation frames, on which a slider waits
window.requestAnimationFrame = f => setTimeout(() => f(performance.now()), 16);
const errors = []; addEventListener("error", e => errors.push(e.message));
const wait = setInterval(() => {
  const plots = [...document.querySelectorAll(".plot")];
  if (!plots.every(p => p.querySelector(".main-svg"))) return;
  clearInterval(wait);
  const root = document.documentElement, moved = [];
  for (const p of plots.filter(p => p.layout.sliders)) {
    const trace = p.layout.sliders[0].steps[0].args[2][0];
    const state = () => JSON.stringify([p.data[trace].x, p.data[trace].y, p.data[trace].z]);
    const rail = p.querySelector(".slider-rail-touch-rect"), box = rail.getBoundingClientRect();
    const before = state(), at = {bubbles: true, clientX: box.left + 2, clientY: box.top + 2};
    rail.dispatchEvent(new MouseEvent("mousedown", at));
    window.dispatchEvent(new MouseEvent("mouseup", at));
    p.dispatchEvent(new MouseEvent("mouseup", at));
    moved.push([p.id, before, () => state(), p]);
  }
  const drawn = [...document.querySelectorAll(".main-svg")];
  dispatchEvent(new Event("beforeprint"));
  const whole = s => s.viewBox.baseVal?.width === s.width.baseVal.value
    && s.viewBox.baseVal.height === s.height.baseVal.value;
  const cut = drawn.filter(s => !whole(s)).map(s => s.closest(".plot").id);
  dispatchEvent(new Event("afterprint"));
  setTimeout(() => parent.postMessage({cut, width: innerWidth, errors, plots: plots.length,
    overflow: root.scrollWidth - root.clientWidth,
    wide: plots.filter(p => p.querySelector(".main-svg").getBoundingClientRect().right
      > root.clientWidth + 1).map(p => p.id),
    gaps: plots.filter(p => p.getBoundingClientRect().bottom
      > p.querySelector(".main-svg").getBoundingClientRect().bottom + 4).map(p => p.id),
    hidden: plots.filter(p => [...p.querySelectorAll(".legend .scrollbar")]
      .some(bar => bar.getBoundingClientRect().height > 0)).map(p => p.id),
    still: moved.filter(([id, before, after]) => after() === before).map(m => m[0]),
    sliders: moved.map(([id, b, a, p]) => p.layout.sliders[0].active)}, "*"), 1500);
}, 100);
</script></body>"""
AROUND = """<!DOCTYPE html><pre id="found"></pre>{frames}<script>
const all = []; addEventListener("message", e => {{ all.push(e.data);
  document.getElementById("found").textContent = JSON.stringify(all); }});
</script>"""


def browser():
    """The path of a Chromium."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        sys.exit(f"no browser: looked for {', '.join(NAMES)}; apt install chromium")
    return found


def chromium(profile, *options):
    """Its output on stdout and stderr."""
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    words += [f"--user-data-dir={profile}", "--hide-scrollbars", "--virtual-time-budget=60000"]
    done = subprocess.run(
        [browser(), *words, *options], capture_output=True, text=True, timeout=240, check=True
    )
    return done.stdout, done.stderr


def check(page, folder, *, sliders):
    """AssertionError where something is wrong with the page in the browser."""
    probed = folder / f"probed-{page.name}"
    probed.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE), encoding="utf-8")
    frames = "".join(
        f'<iframe src="{probed.name}" width="{w}" height="900"></iframe>' for w in WIDTHS
    )
    around = folder / f"around-{page.name}"
    around.write_text(AROUND.format(frames=frames), encoding="utf-8")
    dom, log = chromium(
        folder / "profile", "--window-size=1700,2400", "--dump-dom", around.as_uri()
    )
    said = [line for line in log.splitlines() if "CONSOLE" in line]
    assert not said, said
    found = json.loads(re.search(r'<pre id="found">(.*?)</pre>', dom, re.S)[1] or "[]")
    assert sorted(one["width"] for one in found) == sorted(WIDTHS), found
    for one in found:
        assert one["plots"] > 0, one
        wrong = [x for kind in WRONG for x in one[kind]]
        wrong += filter(None, one["sliders"])
        assert not wrong, one
        assert one["overflow"] <= 0, one
        assert bool(one["sliders"]) == sliders, one
    moved = ", sliders move" if sliders else ""
    print(f"{page.name}: {found[0]['plots']} pictures at {WIDTHS}{moved}")


def check_pdf(page, folder):
    """AssertionError where the button PDF prints more than its picture, on a page of its size."""
    script = """<script>window.print = () => {};
    const w = setInterval(() => { const p = document.querySelector(".plot");
      if (!p.querySelector(".main-svg")) return; clearInterval(w);
      document.querySelector("button.pdf").click(); }, 100);</script></body>"""
    alone = folder / f"alone-{page.name}"
    alone.write_text(page.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    target = folder / f"{page.stem}-picture.pdf"
    size = "--window-size=1300,900"
    chromium(folder / "profile", size, f"--print-to-pdf={target}", alone.as_uri())
    boxes = re.findall(rb"/MediaBox\s*\[([^\]]*)\]", target.read_bytes())
    width, height = (float(end) / 0.75 for end in boxes[0].split()[2:])  # CSS pixels
    assert len(boxes) == 1, boxes
    assert 300 < width < 1300, boxes
    assert 250 < height < 700, boxes
    assert b"/Font" in target.read_bytes()  # letters, not a photograph


def numbers_of(page):
    """The JSON that a page carries."""
    text = page.read_text(encoding="utf-8")
    (found,) = re.findall(r'"numbers.json" href="data:application/json;base64,([^"]*)"', text)
    return json.loads(base64.b64decode(found))


# name -> words of the command, and whether something moves in its page
COMMANDS = {
    "solve": ("solve --n 63", False),
    "solve-matrix-free": ("solve --problem poisson3d --n 15 --krylov cg", False),
    "lfa": ("lfa --family chebyshev4 --degree 3 --verify", True),
    "lfa-1d": ("lfa --problem poisson1d --smoother gauss-seidel", False),
    "lfa-3d": ("lfa --problem poisson3d --degree 2", True),
    "compare": ("compare-smoothers --n 31 --degrees 1-2", False),
}


def of_command(name, words, folder):
    """The page that a command writes with --report; its numbers are what --json prints."""
    from polymgnet.cli import main

    page, said = folder / f"{name}.html", io.StringIO()
    with contextlib.redirect_stdout(said):
        status = main([*words.split(), "--report", str(page), "--force", "--json"])
    assert status == 0, words
    assert numbers_of(page) == json.loads(said.getvalue()), name
    return page


def pictures(page, folder, height):
    """A screenshot at every width, and what it prints as."""
    for width in WIDTHS:
        frame = folder / f"{page.stem}-{width}.html"
        inside = f'<body style="margin:0"><iframe src="{page.resolve().as_uri()}" width="{width}"'
        style = f'height="{height}" style="border:0"></iframe>'
        frame.write_text(f"<!DOCTYPE html>{inside} {style}", encoding="utf-8")
        target = folder / f"{page.stem}-{width}.png"
        size = f"--window-size={max(width, 500)},{height}"
        chromium(folder / "profile", size, f"--screenshot={target}", frame.as_uri())
    chromium(folder / "profile", f"--print-to-pdf={folder / page.stem}.pdf", page.as_uri())


def small_runs(folder):
    """Two seeds of a network that keeps its epochs."""
    import nets

    sets = ["data=digits", "epochs=4", "levels=2", "width=4", "placement=relu_outside_nobn"]
    sets += ["init.scheme=chebyshev4", "init.operator=laplacian", "train.tensorboard=false"]
    for seed in (0, 1):
        config = nets.load_config("q2", [*sets, f"seed={seed}"])
        nets.train(config, folder / f"seed{seed}", progress=False)
    return [folder / f"seed{seed}" for seed in (0, 1)]


def main():
    """Exit status 0 where all pages pass."""
    from figures.page.runs import write_page
    from polymgnet.cli import main as polymgnet

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--height", type=int, default=3000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        folder = (given.keep or Path(own)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        runs = given.runs or small_runs(Path(own))
        pages = {"one.html": runs[:1], "several.html": runs[:]}
        for name, chosen in pages.items():
            command = f"polymgnet report {' '.join(map(str, chosen))}"
            page = write_page(chosen, folder / name, command=command)
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                assert polymgnet(["analyze", *map(str, chosen), "--json"]) == 0
            assert numbers_of(page) == json.loads(said.getvalue()), name
            moves = not given.runs or '"sliders"' in page.read_text(encoding="utf-8")
            check(page, folder, sliders=moves)
            if given.keep:
                pictures(page, folder, given.height)
        check_pdf(folder / "one.html", folder)
        for name, (words, moves) in COMMANDS.items():
            page = of_command(name, words, folder)
            check(page, folder, sliders=moves)
            if given.keep:
                pictures(page, folder, given.height)


if __name__ == "__main__":
    main()
