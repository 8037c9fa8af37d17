"""How the page looks: one column, no outside fonts, contrast of at least 7 to 1."""

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; color: #1a1a1a; background: #fff;
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { line-height: 1.2; } h2 { margin: 0; } h3 { margin: 1.5rem 0 0.5rem; }
a { color: #0b3d91; }
article { border-top: 3px solid #1a1a1a; margin-top: 2.5rem; padding-top: 1rem; }
.media { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; margin: 1rem 0; }
.media figure { flex: 1 1 18rem; } .media figure.clip { flex: 0 1 20rem; }
figure { margin: 0; } figcaption { color: #404040; font-size: 0.9rem; }
video, img { display: block; max-width: 100%; height: auto; }
video { width: 20rem; border: 1px solid #767676; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.9rem; }
caption { text-align: left; font-weight: 600; padding: 0.25rem 0; }
th, td { border-bottom: 1px solid #c4c4c4; padding: 0.3rem 0.6rem; text-align: left;
  vertical-align: top; overflow-wrap: normal; }
thead th { vertical-align: bottom; background: #f2f2f2; }
td.number, td.none { text-align: right; font-variant-numeric: tabular-nums; }
tbody th { min-width: 8rem; }
.badge { display: inline-block; border-radius: 0.3rem; padding: 0 0.5rem; font-weight: 600;
  background: #ececec; color: #262626; }
.badge.ok { background: #ddf3e1; color: #0a4a18; }
.badge.static { background: #fff0c2; color: #533b00; }
.badge.exploded, .badge.failed { background: #fde1e1; color: #7a1010; }
.badge.drifted { background: #efe3fa; color: #4a1d73; }
.bar { display: block; height: 0.8rem; min-width: 1px; background: #35618f; }
td.bars { min-width: 8rem; }
svg { min-width: 44rem; width: 100%; height: auto; }
details { margin: 1rem 0; } summary { cursor: pointer; font-weight: 600; }
"""
