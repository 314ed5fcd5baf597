"""The look of a page, light and dark, from 400 px on."""

CSS = """
:root { color-scheme: light dark; --ink: #222; --faint: #666; --line: #ddd; --ground: #fff; --box: #f6f6f4;
  --hue: 0, 114, 178; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e4e2; --faint: #a0a09c; --line: #3c3c3a; --ground: #1a1a19; --box: #262625;
    --hue: 86, 180, 233; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; overflow-wrap: anywhere; }
main { max-width: 74rem; margin: 0 auto; padding: 1.2rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .6rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; padding-top: .6rem; border-top: 1px solid var(--line); }
p, ul { margin: .5rem 0; max-width: 46rem; }
ul { padding-left: 1.2rem; }
.headline { margin: .4rem 0 .8rem; }
.headline strong { display: block; font-size: 2.1rem; line-height: 1.2; }
.faint, figcaption, th { color: var(--faint); }
.scroll, figure { overflow-x: auto; max-width: 100%; margin: .6rem 0; }
.scroll { background:
  linear-gradient(to right, var(--ground) 40%, transparent) 0 0 / 2rem 100% local no-repeat,
  linear-gradient(to left, var(--ground) 40%, transparent) 100% 0 / 2rem 100% local no-repeat,
  linear-gradient(to left, rgba(var(--hue), .35), transparent) 100% 0 / .8rem 100% scroll no-repeat,
  linear-gradient(to right, rgba(var(--hue), .35), transparent) 0 0 / .8rem 100% scroll no-repeat; }
table { border-collapse: collapse; font-size: .9rem; overflow-wrap: normal; }
th, td { padding: .3rem .7rem .3rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; vertical-align: bottom; white-space: normal; }
td { min-width: 3ch; max-width: 32rem; }
td:first-child { overflow-wrap: anywhere; min-width: min(10rem, 30vw); }
@media (max-width: 40rem) { img.wide { min-width: 34rem; } }
td:first-child, th:first-child { position: sticky; left: 0; background: var(--ground); }
.number { text-align: right; padding-left: .7rem; font-variant-numeric: tabular-nums; }
td.number { white-space: nowrap; }
tr.strong td { font-weight: 650; }
.confusion td, .confusion th { padding: .3rem .5rem; text-align: center; min-width: 2.6rem; }
.confusion th:first-child { text-align: right; }
dl { display: grid; grid-template-columns: minmax(6rem, 12rem) minmax(0, 1fr); gap: .25rem 1.2rem;
  font-size: .9rem; margin: .6rem 0; }
dt { color: var(--faint); }
dd { margin: 0; min-width: 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
figcaption { font-size: .85rem; margin-top: .3rem; max-width: 46rem; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 1rem 2rem; align-items: start; }
.columns > * { min-width: 0; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(11rem, 45%), 1fr)); gap: 1rem;
  align-items: start; }
.examples figure { margin: 0; padding: .6rem; background: var(--box); border-radius: 6px; min-width: 0; }
.examples img { width: 100%; }
.examples dl { grid-template-columns: repeat(2, minmax(0, auto)); gap: 0 .6rem; justify-content: start;
  margin: 0; font-size: .8rem; }
.examples p { margin: 0; }
.command { background: var(--box); border-radius: 6px; padding: .7rem .9rem;
  font: .85rem/1.5 ui-monospace, "SF Mono", Consolas, monospace; }
.command span { display: inline-block; max-width: 100%; }
details details, details dl { margin-left: 1rem; }
summary { cursor: pointer; color: var(--faint); margin: .4rem 0; }
@media print { details > * { display: block; } section { break-inside: avoid; } }
"""
