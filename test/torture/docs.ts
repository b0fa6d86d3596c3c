/** The pages of promises, their figures taken from the last run: what was not run is not claimed. */
import { writeFileSync } from 'node:fs';
import { REGISTER } from './register.ts';
import type { Figures, PartRecord } from './run.ts';
import type { Verdict } from './verdict.ts';

const PAGES = { reliability: new URL('../../docs/reliability.md', import.meta.url), security: new URL('../../docs/SECURITY.md', import.meta.url) };

export function writeDocs(figures: Figures): void {
  writeFileSync(PAGES.reliability, reliabilityPage(figures));
  writeFileSync(PAGES.security, securityPage(figures));
}

const RUN = 'node test/torture/run.mjs';

/** `docs/reliability.md`. */
export function reliabilityPage(figures: Figures): string {
  return `# Reliability

What findtoken promises about money and answers when things break, how each promise is tried, and what the last run of each trial came to.
This page is written by \`${RUN} --write\` from \`test/torture/last-run.json\`; nothing on it was typed in.

## How it is tried

\`${RUN}\` starts the built daemon as a real process, scripted providers, and clients that write down what they received. An oracle lays three
accounts beside each other: what the clients saw, what the provider said, and the books. It reads the books with queries of its own and reckons every
charge anew, so that it shares no bug with the program. \`--only K,workers,U,E,N,C,S,H,A\` picks parts, \`--kills N\`, \`--soak N\` (requests), \`--minutes M\` and \`--long\` their size, \`--seed S\` the dice,
\`--controls\` plants the bugs below, \`--resume\` leaves out what held at this commit already. The whole of it, with this page: \`${RUN} --long --kills 1000 --soak 100000 --controls --resume --write\`.
A seed brings back which points are chosen, the delays, the tags and the tokens; which request runs when is the system's doing and does not come back.
The short form runs with \`npm test\`.

${partsTable(figures)}

${killsSection(figures.parts['K'])}

${controlsSection(figures)}

## Promises

${promises(figures).map(({ id, text, proof, shown }) => `**${id}. ${text}**\n${shown}\nProof: \`${proof}\``).join('\n\n')}

${registerSection()}

## What is not promised (P12)

- An administrator of the machine sees everything and can change everything.
- After a crash of the machine's software, up to 2 s of a stream that was running may be free: its progress is noted every 2 s.
- A charge may stand though the last bytes of its answer did not arrive: the settlement comes first. The run above counted them as "cut off".
- A client that hangs up before the first word pays for its prompt, estimated, if a provider was working on it.
- A provider that says more than it was asked for is paid out of what else is available, never beyond; the rest is the operator's.
- One machine, one daemon, one database. A power cut was not tried: the order of system calls was, and it rests on a disk that honours \`fsync\`.
- ${skips(figures)}
`;
}

/** `docs/SECURITY.md`. */
export function securityPage(figures: Figures): string {
  const u = figures.parts['U'];
  const e = figures.parts['E'];
  return `# Security

## Reporting

Report a weakness privately to the maintainers of the repository, not in a public issue. Every published fix gets a test named after its identifier.

## What is held, and by which test

This page is written by \`${RUN} --write\`. Each line names the command that proves it.

| promise | proof |
| --- | --- |
| No field, parameter or header of any route chooses where a key is sent; no redirect is followed | \`npx tap test/regressions.test.ts\` (R1, R2), \`${RUN} --only U\` (U36${told(u, 'U36')}) |
| No text of a request becomes SQL, a pattern, a path or code | \`npx tap test/regressions.test.ts\` (R3, R13), \`npx tap test/architecture.test.ts\` |
| Every route refuses every kind of wrong key alike; what belongs to another account does not exist | \`npx tap test/regressions.test.ts\` (R4, R5) |
| A revoked key is refused at the very next request | \`${RUN} --only N\` (N7${told(figures.parts['N'], 'N7')}) |
| Nothing may be stored by anything between | \`npx tap test/regressions.test.ts\` (R6) |
| Keys, prompts and answers stay out of logs, errors and backups | \`npx tap test/canaries.test.ts\` |
| A payment's message counts once, in any order; without a secret the door is shut | \`npx tap test/webhooks.test.ts\` (W1 to W16) |
| Slow, huge, deep, broken and smuggled requests are refused and disturb nobody | \`${RUN} --only E --long\` (${tried(e)}) |
| Provider keys are sealed; an altered, cut or moved one does not open | \`npx tap test/vault.test.ts\` |
| Packages are pinned by hash, three run a script when installed | \`npx tap test/regressions.test.ts\` (R14, which tells the number of packages) |

## What other gateways taught

R1 to R14 in \`test/regressions.test.ts\` bear the identifiers of the advisories and issues they come from.

## What is not held

- Whoever is root on the machine, or may read the daemon's memory, sees keys and prompts.
- A core file of the daemon holds what its memory holds: the master key, provider keys, the Stripe and mail secrets, hashes of API keys, the prompts and answers under way. \`service install\` forbids it; elsewhere start with \`ulimit -c 0\`, a container with \`--ulimit core=0\`. A program that \`kernel.core_pattern\` names is given the dump all the same; systemd-coredump heeds the limit.
- The master key lies in the keychain or in a file that only its owner may read; whoever has both it and the database has the provider keys.
- Plain HTTP: put a TLS proxy before a daemon that listens on more than loopback.
`;
}

interface Promised {
  readonly id: string;
  readonly text: string;
  readonly proof: string;
  readonly shown: string;
}

/** Only those whose part has been run. */
function promises({ parts }: Figures): readonly Promised[] {
  const { K: k, U: u, E: e, N: n, C: c, S: s, A: a, H: h, soak } = parts;
  const all: (Promised | undefined)[] = [
    k && { id: 'P1', text: 'Who saw the end of an answer is charged for it exactly once, and the charge is on the disk first, even if the daemon dies in the next moment.', proof: `${RUN} --only K --kills ${number(k, 'kills').replaceAll(',', '')}`, shown: `${number(k, 'kills')} kills under load, ${number(k, 'answers')} whole answers: ${number(k, 'lost')} lost, ${number(k, 'doubled')} doubled, ${number(k, 'wrong')} wrong, ${number(k, 'invariantBreaks')} breaks of the books.` },
    n && { id: 'P2', text: 'Many at once cannot spend what is not there.', proof: `${RUN} --only N`, shown: lines(n, ['N1', 'N2', 'N3', 'N4', 'N5']) },
    u && e && { id: 'P3', text: 'What fails on our or the provider’s side costs nothing, in mid-stream too; who hangs up pays for what was generated until then.', proof: `${RUN} --only U,E`, shown: `${number(u, 'faults')} faults of a provider in ${number(u, 'calls')} calls (${tried(u)}); clients: ${tried(e)}.` },
    u && { id: 'P4', text: 'No request chooses where a key is sent.', proof: 'npx tap test/regressions.test.ts', shown: lines(u, ['U36']) },
    n && { id: 'P9', text: 'A key that was revoked is refused at the very next request.', proof: `${RUN} --only N --long`, shown: lines(n, ['N7']) },
    n && k && { id: 'P10', text: 'After kill -9 the daemon is ready again soon, with nothing left open.', proof: `${RUN} --only K,N`, shown: `Ready after a median of ${String(ready(k).median)} ms, at worst ${String(ready(k).worst)} ms; with 1,000 holds to close, after ${number(n, 'readyWithHoldsMs')} ms.\n${lines(k, ['K11'])}` },
    s && { id: 'S', text: 'A disk that fails or damages the books is reported, never believed.', proof: `${RUN} --only S --long`, shown: lines(s, ['S4', 'S5', 'S6', 'S7', 'S8', 'S9']) },
    a && { id: 'P8', text: 'Attackers, one bad provider and a stop leave the streams of others as they are.', proof: `${RUN} --only U,A --long`, shown: lines(a, ['A']) },
    h && { id: 'H', text: 'Malformed requests are refused, and nothing hides in them.', proof: `${RUN} --only H`, shown: `${number(h, 'cases')} cases by section of RFC 9110, 9112 and others: ${tried(h)}.` },
    c && { id: 'C', text: 'A wall clock that jumps, a zone that changes and a month that ends leave the books as they are.', proof: `${RUN} --only C`, shown: tried(c) },
    soak && { id: 'N12', text: 'Memory and open files stay flat.', proof: `${RUN} --soak ${number(soak, 'requests').replaceAll(',', '')}`, shown: soakShown(soak) },
    { id: 'P5', text: 'A payment’s message counts once.', proof: 'npx tap test/webhooks.test.ts', shown: 'W1 to W16, run with `npm test`.' },
    { id: 'P6', text: 'Secrets stay out of logs, errors and backups.', proof: 'npx tap test/canaries.test.ts', shown: 'Run with `npm test`.' },
    { id: 'P7', text: 'The books prove themselves.', proof: 'findtoken audit', shown: 'Every balance, hold and charge is reckoned anew from transfers, tokens and prices.' },
    { id: 'P11', text: 'What broke other gateways is a test here.', proof: 'npx tap test/regressions.test.ts', shown: 'R1 to R14, run with `npm test`.' },
  ];
  return all.filter((promise) => promise !== undefined);
}

function partsTable({ parts }: Figures): string {
  const what: Readonly<Record<string, string>> = { K: 'killed at any moment', workers: 'a worker, or the primary of two, killed at any moment', U: 'faults of providers', E: 'clients that leave, stall and lie', N: 'many at once', C: 'clocks', S: 'disks that fail, files that are damaged', H: 'malformed HTTP/1.1', A: 'slowhttptest beside ordinary streams', soak: 'a long load with faults' };
  const rows = Object.entries(parts).map(([name, part]) => `| ${name} | ${what[name] ?? ''} | ${tried(part)} | ${part.seconds} s | ${part.seed} | ${part.commit} | ${part.node}, ${part.cores} cores |`);
  return ['| part | what | came to | took | seed | commit | on |', '| --- | --- | --- | --- | --- | --- | --- |', ...rows].join('\n');
}

/** Figures of an older run lack some of these; then they say so. */
function soakShown(soak: PartRecord): string {
  const run = `${number(soak, 'requests')} requests after a warm-up of ${number(soak, 'warmUp')}, ${number(soak, 'faults')} with a fault, ${number(soak, 'requestsPerSecond')} a second`;
  const memory = `resident memory as the system tells it, nothing forced: ${number(soak, 'slopeKibPer10k')} KiB more per 10,000 requests, ${number(soak, 'highestMib')} MiB at most; of what is left after a forced collection, in a run of its own: ${number(soak, 'keptKibPer10k')} KiB`;
  return `${run}; ${memory}. Open files: ${number(soak, 'filesGrown')} more in the second half than in the first.`;
}

function killsSection(k: PartRecord | undefined): string {
  if (k === undefined) return '';
  const points = lines(k, ['K1', 'K2', 'K3', 'K4', 'K5', 'K6', 'K7', 'K8', 'K10']);
  return `## Kills

${points}

Of ${number(k, 'calls')} calls, ${number(k, 'answers')} came whole. ${number(k, 'released')} holds were released and ${number(k, 'recovered')} settled at their last progress by the next start;
${number(k, 'neverSent')} had been taken for a request that never left, which cost nothing. ${number(k, 'cutOff')} charges stand whose last bytes were cut off.`;
}

function registerSection(): string {
  const partly = REGISTER.filter(({ not }) => not !== undefined);
  return `## Every numbered hazard

${REGISTER.length} faults, regressions and invariants are numbered in \`test/torture/register.ts\`, each with the test that tries it; \`npx tap test/hazards.test.ts\` proves that none is missing.
Not tried, or not wholly:

${partly.map(({ id, not }) => `- ${id}: ${not}`).join('\n')}`;
}

function controlsSection({ controls }: Figures): string {
  if (controls === undefined) return '';
  const rows = controls.caught.map(({ bug, part, isCaught, ms }) => `| ${bug} | ${part} | ${isCaught ? 'caught' : '**missed**'} | ${Math.round(ms / 1000)} s |`);
  return `## Does it notice?

\`${RUN} --controls\` plants bugs in copies of the sources, one at a time: ${controls.caught.filter(({ isCaught }) => isCaught).length} of ${controls.caught.length} are caught.

| a daemon that … | part | | after |
| --- | --- | --- | --- |
${rows.join('\n')}`;
}

function lines(part: PartRecord, ids: readonly string[]): string {
  return part.verdicts.filter(({ id, outcome }) => ids.includes(id) && outcome !== 'skipped').map(({ id, what, outcome, detail }) => `- ${id}: ${what}: ${outcome === 'held' ? 'held' : `**broken** (${escaped(detail)})`}`).join('\n');
}

function tried({ verdicts }: PartRecord | { readonly verdicts: readonly Verdict[] } = { verdicts: [] }): string {
  const count = (wanted: Verdict['outcome']) => verdicts.filter(({ outcome }) => outcome === wanted).length;
  return `${count('held')} held, ${count('broken')} broken, ${count('skipped')} skipped`;
}

function told(part: PartRecord | undefined, id: string): string {
  const verdicts = part?.verdicts.filter((verdict) => verdict.id === id) ?? [];
  return verdicts.length === 0 ? ', not run' : `: ${tried({ verdicts })}`;
}

function skips({ parts }: Figures): string {
  const skipped = Object.values(parts).flatMap(({ verdicts }) => verdicts.filter(({ outcome }) => outcome === 'skipped'));
  return `Skipped in the last run: ${skipped.map(({ id, detail }) => `${id} (${escaped(detail)})`).join('; ') || 'nothing'}.`;
}

function number(part: PartRecord, name: string): string {
  const value = part.figures[name];
  return typeof value === 'number' ? value.toLocaleString('en-US') : 'an unknown number of';
}

function ready(part: PartRecord): { readonly median?: unknown; readonly worst?: unknown } {
  const value = part.figures['readyMs'];
  return typeof value === 'object' && value !== null ? value : {};
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
