// Puts a run's figures into a page, between two marks: what stands around them is written by people.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';

const BEGIN = '<!-- figures: written by npm run bench -- --write -->';
const END = '<!-- end of figures -->';

/** @param {{notes: string[], lines: string[]}} run what the run had to say, in Markdown */
export function writePage(file, { notes, lines }) {
  const page = existsSync(file) ? readFileSync(file, 'utf8') : `# Performance\n\n${BEGIN}\n${END}\n`;
  const from = page.indexOf(BEGIN);
  const to = page.indexOf(END);
  if (from === -1 || to < from) throw new Error(`${file} lacks the marks ${BEGIN} and ${END}`);
  const text = [BEGIN, machine(), ...notes.map((note) => `Note: ${note}.`), ...lines].join('\n').replace(/\n{3,}/g, '\n\n');
  writeFileSync(file, `${page.slice(0, from)}${text.replace(/\n(- )/, '\n\n$1')}\n\n${page.slice(to)}`);
}

/** Figures without their machine mean nothing. */
function machine() {
  const [first] = cpus();
  const load = loadavg().map((value) => value.toFixed(1)).join(', ');
  return `\n${cpus().length} × ${first?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${release()}, Node ${process.versions.node}; load average at the end ${load}.`;
}
