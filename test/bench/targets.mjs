// What findtoken wants to reach, as ratios within one run: absolute figures belong to a machine, ratios to the program.

/** `of` reads a suite's summary: `ratio(server, other)` is the median of paired ratios, `figure(server)` its figures. */
export const TARGETS = [
  { name: 'requests/s, findtoken to bare', kind: 'json', isLoaded: true, must: 0.6, stretch: 0.75, of: ({ ratio }) => ratio('findtoken', 'bare') },
  { name: 'requests/s, findtoken to nginx', kind: 'json', isLoaded: true, must: 0.2, stretch: 0.28, of: ({ ratio }) => ratio('findtoken', 'nginx') },
  { name: 'p50 with one connection, findtoken to bare', kind: 'json', isLoaded: false, most: true, must: 5, stretch: 3.5, of: ({ figure }) => figure('findtoken')?.p50Us / figure('bare')?.p50Us },
  { name: 'events/s, findtoken to bare', kind: 'sse', isLoaded: true, must: 0.85, stretch: 0.97, of: ({ ratio }) => ratio('findtoken', 'bare') },
];

/** One line for each target that this suite can tell about. */
export function judge(suite) {
  const lines = [];
  for (const { name, kind, isLoaded, most = false, must, stretch, of } of TARGETS) {
    if (kind !== suite.kind || isLoaded !== suite.connections > 1) continue;
    const found = of(suite);
    if (found === undefined || Number.isNaN(found)) continue;
    const reaches = (bar) => (most ? found <= bar : found >= bar);
    const word = reaches(stretch) ? 'beyond the stretch' : reaches(must) ? 'met' : 'MISSED';
    lines.push(`${word}: ${name} is ${found.toFixed(2)} (must ${most ? '≤' : '≥'} ${must}, stretch ${stretch})`);
  }
  return lines;
}
