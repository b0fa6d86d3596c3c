// Figures from slices: medians and quartiles, CPU and memory of a process with its threads and children.
import { readdirSync, readFileSync } from 'node:fs';

/** The value below which `share` of the sorted values lie. */
export function quantile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

export function median(values) {
  return quantile(values, 0.5);
}

/** CPU time in µs that a process, its threads and its children have had; undefined where the system does not tell. */
export function cpuUs(pid) {
  return sum(familyOf(pid), (member) => {
    const threads = readdirSync(`/proc/${member}/task`);
    return threads.reduce((total, thread) => total + Number(readFileSync(`/proc/${member}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1000, 0);
  });
}

/** Memory in MiB that is now in RAM. */
export function rssMib(pid) {
  return sum(familyOf(pid), (member) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${member}/status`, 'utf8'))?.[1] ?? 0) / 1024);
}

function familyOf(pid) {
  const text = attempt(() => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')) ?? '';
  return [pid, ...text.split(' ').filter((child) => child !== '').map(Number)];
}

function sum(members, read) {
  return attempt(() => members.reduce((total, member) => total + read(member), 0));
}

/** /proc is Linux's alone, and a thread may end while it is read. */
function attempt(read) {
  try {
    return read();
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return undefined;
    throw error;
  }
}

/** Rows of cells, the first row being the head, as Markdown with aligned columns. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
  const line = (row) => `| ${row.map((cell, column) => (column === 0 ? String(cell).padEnd(widths[0]) : String(cell).padStart(widths[column]))).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(rows[0]), rule, ...rows.slice(1).map(line)].join('\n');
}
