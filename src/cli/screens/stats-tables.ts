import { spanText } from '../format.ts';
import { formatUsd } from '../../money/index.ts';
import { fitted, printable } from '../printable.ts';
import { errorShare, short, shortMs } from '../stats/figures.ts';
import type { CallLine, ProviderLine, StatsFrame, Total } from '../stats/figures.ts';
import { layOut, rowLine, titleLine } from '../table.ts';
import type { Column } from '../table.ts';
import type { Tone } from './tone.tsx';

/** One line of a table on the screen. */
export interface Line {
  readonly text: string;
  readonly tone: Tone;
}

const STATE = { up: ['●', 'good'], idle: ['○', 'dim'], trying: ['◐', 'warn'], resting: ['◐', 'warn'], down: ['✗', 'bad'] } as const satisfies Record<ProviderLine['state'], readonly [string, Tone]>;

function totalColumns(title: string): readonly Column<Total>[] {
  return [
    { title, text: ({ name }) => name, least: 12 },
    { title: 'req', text: ({ requests }) => short(requests), right: true, least: 5 },
    { title: 'tokens', text: ({ tokens }) => short(tokens), right: true, least: 6, dropAt: 1 },
    { title: 'err', text: errorShare, right: true, least: 6, dropAt: 2 },
    { title: 'spend', text: ({ cost }) => `$${formatUsd(cost)}`, right: true, least: 9 },
  ];
}

const PROVIDERS: readonly Column<ProviderLine>[] = [
  { title: 'provider', text: ({ name, state }) => `${STATE[state][0]} ${name}`, least: 12 },
  { title: 'state', text: ({ state }) => state, least: 7 },
  { title: 'next', text: ({ nextProbeMs }) => (nextProbeMs === undefined ? '–' : nextProbeMs === 0 ? 'now' : spanText(nextProbeMs)), right: true, least: 5 },
  { title: 'why', text: ({ reason }) => reason, dropAt: 1 },
];

/** The longest codes are told by their beginning; `logs` shows them whole. */
const STATUS_COLUMNS = 14;

const CALLS: readonly Column<CallLine>[] = [
  { title: 'time', text: ({ endedMs }) => new Date(endedMs).toISOString().slice(11, 19), least: 8 },
  { title: 'status', text: ({ status }) => `${signOf(status)} ${fitted(status, STATUS_COLUMNS)}`, least: 9 },
  { title: 'model', text: ({ model, stream }) => `${model}${stream ? ' ⇣' : ''}`, least: 14 },
  { title: 'provider', text: ({ provider }) => provider, least: 8, dropAt: 4 },
  { title: 'key', text: ({ key }) => key, least: 8, dropAt: 5 },
  { title: 'account', text: ({ account }) => account, least: 10, dropAt: 6 },
  { title: 'in', text: ({ promptTokens }) => short(promptTokens), right: true, least: 5, dropAt: 2 },
  { title: 'out', text: ({ completionTokens }) => short(completionTokens), right: true, least: 5, dropAt: 2 },
  { title: 'first', text: ({ firstByteMs }) => shortMs(firstByteMs), right: true, least: 6, dropAt: 3 },
  { title: 'took', text: ({ latencyMs }) => shortMs(latencyMs), right: true, least: 6, dropAt: 1 },
  { title: 'cost', text: ({ cost }) => `$${formatUsd(cost)}`, right: true, least: 9 },
];

/** What the person wants to see of the tables. */
export interface Look {
  readonly width: number;
  /** Shows only rows in which this stands; '' shows all. */
  readonly filter: string;
  /** Rows scrolled past. */
  readonly skip: number;
}

/** Totals of the day by model, key or account. */
export function totalLines(kind: 'models' | 'keys' | 'accounts', frame: StatsFrame, look: Look): readonly Line[] {
  const rows = frame[kind].filter(({ name }) => matches(look.filter, name));
  return tableLines(rows, totalColumns(kind.slice(0, -1)), look, () => 'plain', 'no requests today');
}

export function providerLines(frame: StatsFrame, look: Look): readonly Line[] {
  const rows = frame.providers.filter(({ name, state }) => matches(look.filter, name, state));
  return tableLines(rows, PROVIDERS, look, ({ state }) => STATE[state][1], 'no provider has a key, or was called');
}

/** The newest calls, newest first. */
export function callLines(frame: StatsFrame, look: Look): readonly Line[] {
  const rows = frame.calls.filter(({ model, provider, key, account, status, id }) => matches(look.filter, model, provider, key, account, status, id));
  return tableLines(rows, CALLS, look, ({ status }) => (status === 'ok' ? 'plain' : status === 'aborted' ? 'warn' : 'bad'), 'no calls yet');
}

function tableLines<Row>(rows: readonly Row[], columns: readonly Column<Row>[], look: Look, toneOf: (row: Row) => Tone, none: string): readonly Line[] {
  if (rows.length === 0) return [{ text: look.filter === '' ? none : `nothing matches ${printable(look.filter)}`, tone: 'dim' }];
  const shown = rows.slice(Math.min(look.skip, rows.length - 1));
  const layout = layOut(shown.slice(0, 100), columns, { width: look.width, colour: false });
  return [{ text: titleLine(layout), tone: 'dim' }, ...shown.map((row) => ({ text: rowLine(row, layout), tone: toneOf(row) }))];
}

function matches(filter: string, ...texts: readonly string[]): boolean {
  const wanted = filter.toLowerCase();
  return texts.some((text) => text.toLowerCase().includes(wanted));
}

function signOf(status: string): string {
  return status === 'ok' ? '✓' : status === 'aborted' ? '!' : '✗';
}
