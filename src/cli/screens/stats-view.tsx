import { Box, Text } from 'ink';
import type { ReactNode } from 'react';
import { spanText } from '../format.ts';
import { formatUsd } from '../../money/index.ts';
import { printable } from '../printable.ts';
import { errorShare, short, shortMs, sumOf } from '../stats/figures.ts';
import type { StatsFrame } from '../stats/figures.ts';
import { callLines, providerLines, totalLines } from './stats-tables.ts';
import type { Line } from './stats-tables.ts';
import { Card, Sheet, Toned } from './tone.tsx';
import type { Tone } from './tone.tsx';

export const PANES = ['overview', 'models', 'keys', 'accounts', 'providers', 'calls'] as const;
export type Pane = (typeof PANES)[number];

/** What the person chose. */
export interface View {
  readonly pane: Pane;
  readonly filter: string;
  /** Whether the filter is being typed. */
  readonly typing: boolean;
  readonly paused: boolean;
  readonly help: boolean;
  readonly skip: number;
}

export const FIRST_VIEW: View = { pane: 'overview', filter: '', typing: false, paused: false, help: false, skip: 0 };

/** Below this the cards become two lines. */
const ROOMY = { columns: 80, rows: 20 } as const;
const WIDE_COLUMNS = 150;
const MINUTE = 60;
/** A rate is told of so many seconds: one alone would jump. */
const RATE_SECONDS = 10;
/** Below this only the pane that is shown bears its name. */
const NAMED_TABS_COLUMNS = 72;
const CARD_ROWS = 4;

const HELP = [
  'tab, →, 1-6   the next pane, or that one',
  '↑ ↓           scroll',
  '/             show only rows with a text in them; Enter keeps it, Esc drops it',
  'p             hold the picture still; the counting goes on',
  '?             this help',
  'q, Ctrl-C     leave',
  '',
  'A blank in a curve is a second in which nothing ended. ⇣ marks a stream.',
  'Totals are of today, UTC; times are of the newest answers that went well.',
];

/** One frame of `stats`: exactly `columns` wide and at most `rows` high. Nothing in it is told by colour alone. */
export function StatsView({ frame, view, columns, rows, colour }: { readonly frame: StatsFrame; readonly view: View; readonly columns: number; readonly rows: number; readonly colour: boolean }): ReactNode {
  const isRoomy = columns >= ROOMY.columns && rows >= ROOMY.rows;
  const cards = cardsOf(frame);
  const perRow = columns >= WIDE_COLUMNS ? cards.length : 3;
  const topRows = isRoomy ? (cards.length / perRow) * CARD_ROWS : 2;
  const bodyRows = Math.max(1, rows - topRows - 3);
  return (
    <Box flexDirection="column" width={columns} height={rows} overflow="hidden">
      <Header frame={frame} view={view} columns={columns} colour={colour} />
      <Tabs view={view} columns={columns} colour={colour} />
      {isRoomy ? <Cards cards={cards} columns={columns} perRow={perRow} colour={colour} /> : <Collapsed cards={cards} colour={colour} />}
      <Box height={bodyRows} overflow="hidden">
        {view.help ? <Sheet width={columns} height={bodyRows} title="help" rows={HELP.map((text) => ({ text, tone: 'plain' }))} colour={colour} /> : <Body frame={frame} view={view} columns={columns} rows={bodyRows} colour={colour} />}
      </Box>
      <Toned tone="dim" colour={colour}>{footerOf(view)}</Toned>
    </Box>
  );
}

function Header({ frame, view, columns, colour }: { readonly frame: StatsFrame; readonly view: View; readonly columns: number; readonly colour: boolean }): ReactNode {
  const { daemon } = frame;
  const state: readonly [string, Tone] = daemon === undefined ? ['○ no daemon', 'warn'] : ['● running', 'good'];
  const flight = daemon === undefined ? '' : `${daemon.inFlight} in flight${daemon.workers > 1 ? `, ${daemon.workers} workers` : ''}`;
  const about = daemon === undefined ? 'start it with findtoken serve' : `${daemon.version}, up ${spanText(daemon.upMs)}${daemon.sandbox ? ', sandbox' : ''}  ${printable(daemon.url)}`;
  return (
    <Box width={columns} height={1} justifyContent="space-between">
      <Box gap={2} flexShrink={1} overflow="hidden">
        <Fixed><Toned tone="strong" colour={colour}>findtoken</Toned></Fixed>
        <Fixed><Toned tone={state[1]} colour={colour}>{state[0]}</Toned></Fixed>
        {flight === '' ? undefined : <Fixed><Toned tone="strong" colour={colour}>{flight}</Toned></Fixed>}
        <Toned tone="dim" colour={colour}>{about}</Toned>
      </Box>
      <Fixed><Toned tone={view.paused ? 'warn' : 'dim'} colour={colour}>{` ${view.paused ? 'PAUSED ' : ''}${new Date(frame.atMs).toISOString().slice(11, 19)}Z`}</Toned></Fixed>
    </Box>
  );
}

function Fixed({ children }: { readonly children: ReactNode }): ReactNode {
  return <Box flexShrink={0}>{children}</Box>;
}

function Tabs({ view, columns, colour }: { readonly view: View; readonly columns: number; readonly colour: boolean }): ReactNode {
  return (
    <Box width={columns} height={1} gap={1}>
      {PANES.map((pane, index) => {
        const isHere = pane === view.pane;
        return <Toned key={pane} tone={isHere ? 'accent' : 'dim'} colour={colour}>{isHere ? `[${index + 1} ${pane}]` : columns < NAMED_TABS_COLUMNS ? ` ${index + 1} ` : ` ${index + 1} ${pane} `}</Toned>;
      })}
    </Box>
  );
}

interface CardFacts {
  readonly title: string;
  readonly value: string;
  readonly note: string;
  readonly values: readonly number[];
  readonly tone: Tone;
}

function cardsOf({ samples, timing, today, latencyMs, firstByteMs }: StatsFrame): readonly CardFacts[] {
  const minute = sumOf(samples.slice(-MINUTE));
  const lately = sumOf(samples.slice(-RATE_SECONDS));
  return [
    { title: 'requests', value: `${short(lately.requests / RATE_SECONDS)}/s`, note: `${short(today.requests)} today`, values: samples.map(({ requests }) => requests), tone: 'accent' },
    { title: 'tokens', value: `${short(lately.tokens / RATE_SECONDS)}/s`, note: `${short(today.tokens)} today`, values: samples.map(({ tokens }) => tokens), tone: 'accent' },
    // The heights of a curve are no money; the amounts beside it are exact.
    { title: 'spend', value: `$${formatUsd(minute.cost)}/m`, note: `$${cents(today.cost)} today`, values: samples.map(({ cost }) => Number(cost)), tone: 'good' },
    { title: 'errors', value: errorShare(minute), note: `${short(today.errors)} today`, values: samples.map(({ errors }) => errors), tone: 'bad' },
    { title: 'latency', value: shortMs(timing.p50Ms), note: `p95 ${shortMs(timing.p95Ms)}`, values: latencyMs, tone: 'warn' },
    { title: 'first token', value: shortMs(timing.firstByteP50Ms), note: `p95 ${shortMs(timing.firstByteP95Ms)}`, values: firstByteMs, tone: 'warn' },
  ];
}

function Cards({ cards, columns, perRow, colour }: { readonly cards: readonly CardFacts[]; readonly columns: number; readonly perRow: number; readonly colour: boolean }): ReactNode {
  const width = Math.floor(columns / perRow);
  return (
    <Box width={columns} flexWrap="wrap">
      {cards.map(({ title, value, note, values, tone }, index) => {
        // What the division leaves goes to the last card of a row.
        const own = index % perRow === perRow - 1 ? columns - width * (perRow - 1) : width;
        return <Card key={title} width={own} title={title} value={value} note={note} values={values} tone={tone} colour={colour} />;
      })}
    </Box>
  );
}

function Collapsed({ cards, colour }: { readonly cards: readonly CardFacts[]; readonly colour: boolean }): ReactNode {
  const line = (some: readonly CardFacts[]) => some.map(({ title, value }) => `${title} ${value}`).join(' · ');
  return (
    <Box flexDirection="column" height={2}>
      <Toned tone="strong" colour={colour}>{line(cards.slice(0, 3))}</Toned>
      <Toned tone="strong" colour={colour}>{line(cards.slice(3))}</Toned>
    </Box>
  );
}

function Body({ frame, view, columns, rows, colour }: { readonly frame: StatsFrame; readonly view: View; readonly columns: number; readonly rows: number; readonly colour: boolean }): ReactNode {
  const { filter, skip, pane } = view;
  if (pane !== 'overview') {
    const lines = linesOf(pane, frame, { width: columns, filter, skip });
    return <Sheet width={columns} height={rows} title={titleOf(pane)} rows={lines} colour={colour} />;
  }
  const isWide = columns >= WIDE_COLUMNS;
  const side: readonly Exclude<Pane, 'overview'>[] = isWide ? ['models', 'keys', 'accounts', 'providers'] : columns >= ROOMY.columns ? ['models', 'providers'] : ['models'];
  const width = Math.floor((columns - (side.length - 1)) / side.length);
  const upper = rows < 6 ? rows : Math.max(4, Math.min(isWide ? 14 : 7, Math.ceil(rows / 2)));
  return (
    <Box flexDirection="column" width={columns} height={rows}>
      <Box gap={1} height={upper} width={columns}>
        {side.map((one) => <Sheet key={one} width={width} height={upper} title={titleOf(one)} rows={linesOf(one, frame, { width, filter, skip: 0 })} colour={colour} />)}
      </Box>
      {rows - upper < 2 ? undefined : <Sheet width={columns} height={rows - upper} title={titleOf('calls')} rows={callLines(frame, { width: columns, filter, skip })} colour={colour} />}
    </Box>
  );
}

function linesOf(pane: Exclude<Pane, 'overview'>, frame: StatsFrame, look: { readonly width: number; readonly filter: string; readonly skip: number }): readonly Line[] {
  if (pane === 'providers') return providerLines(frame, look);
  return pane === 'calls' ? callLines(frame, look) : totalLines(pane, frame, look);
}

function titleOf(pane: Exclude<Pane, 'overview'>): string {
  if (pane === 'providers') return "providers' health";
  return pane === 'calls' ? 'calls, newest first' : `${pane} today`;
}

function footerOf({ typing, filter: written, help }: View): string {
  const filter = printable(written);
  if (typing) return `/${filter}▏  Enter keeps it, Esc drops it`;
  const keys = help ? '? back · q quit' : 'tab or 1-6 pane · / filter · p pause · ? help · q quit';
  return filter === '' ? keys : `filter: ${filter} (/ changes it) · ${keys}`;
}

const CENT = 1_000_000n;

/** Money for a glance: whole cents from a cent on, rounded half up. */
function cents(amount: bigint): string {
  return formatUsd(amount < CENT ? amount : ((amount + CENT / 2n) / CENT) * CENT);
}

/** What is shown until the first look is back. */
export function Waiting(): ReactNode {
  return <Text>reading the books…</Text>;
}
