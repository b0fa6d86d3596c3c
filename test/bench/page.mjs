// Puts a run's figures into a page, between pairs of marks: what stands around them is written by people.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';

const MARKS = {
  targets: ['<!-- targets: written by npm run bench -- --write -->', '<!-- end of targets -->'],
  figures: ['<!-- figures: written by npm run bench -- --write -->', '<!-- end of figures -->'],
  where: ['<!-- where: written by npm run bench:where -- --write -->', '<!-- end of where -->'],
};

/** @param {{notes: string[], lines: string[], targets: string}} run what the run had to say, in Markdown */
export function writePage(file, { notes, lines, targets }) {
  writeBetween(file, 'targets', targets);
  writeBetween(file, 'figures', [machine(), ...notes.map((note) => `Note: ${note}.`), ...lines].join('\n'));
}

/** Replaces what stands between two marks of the page; a page that is not there is begun with them. */
export function writeBetween(file, name, text) {
  const [begin, end] = MARKS[name];
  const page = existsSync(file) ? readFileSync(file, 'utf8') : `# Performance\n\n${Object.values(MARKS).map((marks) => marks.join('\n')).join('\n\n')}\n`;
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from === -1 || to < from) throw new Error(`${file} lacks the marks ${begin} and ${end}`);
  const plain = text.trim().replace(/\n{3,}/g, '\n\n');
  writeFileSync(file, `${page.slice(0, from)}${begin}\n\n${plain}\n\n${page.slice(to)}`);
}

/** Figures without their machine mean nothing. */
export function machine() {
  const [first] = cpus();
  const load = loadavg().map((value) => value.toFixed(1)).join(', ');
  return `${cpus().length} × ${first?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${release()}, Node ${process.versions.node}; load average at the end ${load}.`;
}
