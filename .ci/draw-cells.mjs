// Draws a terminal's cells as SVG, by itself: bars and frames as shapes, so that no font leaves gaps in them; the rest as text on the grid.
const CELL = { width: 8.4, height: 18, base: 13 };
const MARGIN = { side: 16, top: 44, bottom: 14 };
const FONT = "ui-monospace, 'JetBrains Mono', 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace";
const BARS = '▁▂▃▄▅▆▇█';
/** Which of its four arms a frame's cell has: left, right, up, down; and whether its corner is round. */
const FRAMES = { '─': 'lr', '│': 'ud', '╭': 'rd', '╮': 'ld', '╰': 'ru', '╯': 'lu' };

const THEMES = {
  light: { page: '#ffffff', edge: '#d0d7de', bar: '#f6f8fa', text: '#1f2328', dim: '#6e7781', 31: '#cf222e', 32: '#1a7f37', 33: '#9a6700', 36: '#0969da', 90: '#afb8c1' },
  dark: { page: '#0d1117', edge: '#30363d', bar: '#161b22', text: '#e6edf3', dim: '#7d8590', 31: '#ff7b72', 32: '#3fb950', 33: '#d29922', 36: '#58a6ff', 90: '#484f58' },
};

/** Text with SGR escapes as rows of cells `{ text, bold, dim, colour }`; a wide character is one cell and an empty one after it. */
export function cellsOf(text, widthOf) {
  return text.split('\n').map((line) => {
    const cells = [];
    let style = { bold: false, dim: false, colour: undefined };
    for (const [piece, code] of line.matchAll(/\x1b\[([\d;]*)m|[^\x1b]/gu)) {
      if (code === undefined) {
        cells.push({ text: piece, ...style });
        if (widthOf(piece) === 2) cells.push({ text: '', ...style });
        continue;
      }
      for (const number of code.split(';').map(Number)) {
        if (number === 0) style = { bold: false, dim: false, colour: undefined };
        else if (number === 1) style = { ...style, bold: true };
        else if (number === 2) style = { ...style, dim: true };
        else if (number === 22) style = { ...style, bold: false, dim: false };
        else if (number === 39) style = { ...style, colour: undefined };
        else if ((number >= 30 && number <= 37) || (number >= 90 && number <= 97)) style = { ...style, colour: number };
      }
    }
    return cells;
  });
}

/** The picture of a window with these cells. */
export function drawCells(rows, theme, title) {
  const colours = THEMES[theme];
  const columns = Math.max(...rows.map((row) => row.length));
  const width = Math.ceil(columns * CELL.width + 2 * MARGIN.side);
  const height = Math.ceil(rows.length * CELL.height + MARGIN.top + MARGIN.bottom);
  const drawn = rows.flatMap((row, index) => drawRow(row, MARGIN.top + index * CELL.height, colours));
  const dots = [colours[31], colours[33], colours[32]].map((colour, index) => `<circle cx="${20 + index * 18}" cy="17" r="5.5" fill="${colour}"/>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">
<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8" fill="${colours.page}" stroke="${colours.edge}"/>
<path d="M0.5 34V8.5a8 8 0 0 1 8-8H${width - 8.5}a8 8 0 0 1 8 8V34z" fill="${colours.bar}" stroke="${colours.edge}"/>
${dots.join('')}
<text x="${width / 2}" y="22" text-anchor="middle" font-family="${FONT}" font-size="13" fill="${colours.dim}">${title}</text>
<g font-family="${FONT}" font-size="14" xml:space="preserve">
${drawn.join('\n')}
</g>
</svg>
`;
}

function drawRow(row, top, colours) {
  const parts = [];
  let run;
  const flush = () => {
    if (run !== undefined && run.text.trim() !== '') parts.push(textOf(run, top));
    run = undefined;
  };
  row.forEach((cell, column) => {
    const fill = cell.colour === undefined ? (cell.dim ? colours.dim : colours.text) : (colours[cell.colour] ?? colours.text);
    const left = MARGIN.side + column * CELL.width;
    const shape = shapeOf(cell.text, left, top, fill);
    if (shape !== undefined) {
      flush();
      parts.push(shape);
      return;
    }
    if (run === undefined || run.fill !== fill || run.bold !== cell.bold || cell.text === ' ') {
      flush();
      run = { text: '', left, columns: 0, fill, bold: cell.bold };
    }
    run.text += cell.text;
    run.columns += 1;
  });
  flush();
  return parts;
}

/** A run is stretched to its cells exactly, whatever the font's own width is. */
function textOf({ text, left, columns, fill, bold }, top) {
  const lead = text.length - text.trimStart().length;
  const x = left + lead * CELL.width;
  return `<text x="${round(x)}" y="${top + CELL.base}" textLength="${round((columns - lead) * CELL.width)}" lengthAdjust="spacingAndGlyphs" fill="${fill}"${bold ? ' font-weight="700"' : ''}>${escaped(text.trimStart())}</text>`;
}

function shapeOf(text, left, top, fill) {
  const level = text === '' ? -1 : BARS.indexOf(text);
  if (level >= 0) {
    const tall = ((level + 1) / BARS.length) * (CELL.height - 3);
    return `<rect x="${round(left)}" y="${round(top + CELL.height - 1 - tall)}" width="${round(CELL.width - 0.6)}" height="${round(tall)}" fill="${fill}"/>`;
  }
  const arms = FRAMES[text];
  if (arms === undefined) return undefined;
  const [x, y] = [left + CELL.width / 2, top + CELL.height / 2];
  const end = { l: [left, y], r: [left + CELL.width, y], u: [x, top], d: [x, top + CELL.height] };
  const [a, b] = [...arms].map((arm) => end[arm].map(round).join(' '));
  const path = text === '─' || text === '│' ? `M${a}L${b}` : `M${a}Q${round(x)} ${round(y)} ${b}`;
  return `<path d="${path}" fill="none" stroke="${fill}"/>`;
}

function round(value) {
  return Math.round(value * 100) / 100;
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
