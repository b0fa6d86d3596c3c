import { render, renderToString, useApp, useInput } from 'ink';
import { useEffect, useState } from 'react';
import type { ReactNode } from 'react';
import { ENDINGS, EXIT } from '../failure.ts';
import type { StatsFrame } from '../stats/figures.ts';
import { openPage } from './page.ts';
import { FIRST_VIEW, PANES, StatsView, Waiting } from './stats-view.tsx';
import type { View } from './stats-view.tsx';

const LOOK_MS = 1_000;
const SIZE_DEFAULT = { columns: 80, rows: 24 } as const;

/** What one key does to the view; undefined leaves the screen. Pure, so that a test can type. */
export function pressed(view: View, input: string, key: Readonly<Partial<Record<'tab' | 'shift' | 'escape' | 'return' | 'backspace' | 'delete' | 'upArrow' | 'downArrow' | 'leftArrow' | 'rightArrow' | 'ctrl', boolean>>>): View | undefined {
  if (key.ctrl === true && input === 'c') return undefined;
  if (view.typing) {
    if (key.escape === true) return { ...view, typing: false, filter: '' };
    if (key.return === true) return { ...view, typing: false };
    if (key.backspace === true || key.delete === true) return { ...view, filter: [...view.filter].slice(0, -1).join('') };
    const typed = key.ctrl === true ? '' : input.replace(/\p{Cc}/gu, '');
    return { ...view, filter: `${view.filter}${typed}`, skip: 0 };
  }
  const turn = (by: number): View => ({ ...view, skip: 0, help: false, pane: PANES[(PANES.indexOf(view.pane) + by + PANES.length) % PANES.length] ?? view.pane });
  if (key.tab === true) return turn(key.shift === true ? -1 : 1);
  if (key.rightArrow === true) return turn(1);
  if (key.leftArrow === true) return turn(-1);
  if (key.downArrow === true) return { ...view, skip: view.skip + 1 };
  if (key.upArrow === true) return { ...view, skip: Math.max(0, view.skip - 1) };
  if (key.escape === true) return { ...view, help: false, filter: '' };
  if (input === 'q') return undefined;
  if (input === 'p') return { ...view, paused: !view.paused };
  if (input === '?') return { ...view, help: !view.help };
  if (input === '/') return { ...view, typing: true };
  const pane = /^[1-9]$/.test(input) ? PANES[Number(input) - 1] : undefined;
  return pane === undefined ? view : { ...view, pane, skip: 0, help: false };
}

/** One frame as text: `stats --once`, and the tests. A line ends where its text does. */
export function statsText(frame: StatsFrame, size: { readonly columns: number; readonly rows: number; readonly colour: boolean; readonly view?: Partial<View> }): string {
  const { columns, rows, colour, view } = size;
  return renderToString(<StatsView frame={frame} view={{ ...FIRST_VIEW, ...view }} columns={columns} rows={rows} colour={colour} />, { columns });
}

/**
 * The live screen on the terminal's other page, which is left by hand whatever ends it: a key, a signal, an error, an exit.
 * @returns the exit code when the person has left: 0 after `q`, 130 after Ctrl-C, a signal's own
 * @throws what a look throws, after the terminal is as it was
 */
export async function runStats(parts: { readonly look: () => Promise<StatsFrame>; readonly colour: boolean }): Promise<number> {
  const { stdout } = process;
  const page = openPage(stdout);
  const restore = (): void => page.leave();
  process.once('exit', restore);
  let failure: { readonly error: unknown } | undefined;
  const onFailure = (error: unknown): void => {
    failure ??= { error };
    app.unmount();
  };
  let exitCode: number = EXIT.done;
  const interrupted = (code: number): void => {
    exitCode = code;
    app.unmount();
  };
  const app = render(<StatsApp look={parts.look} colour={parts.colour} onFailure={onFailure} onInterrupt={() => interrupted(EXIT.interrupted)} terminal={stdout} onResize={page.forget} />, {
    stdout: page.stdout,
    // Each frame is written whole; the page paints what has changed.
    debug: true,
    exitOnCtrlC: false,
    patchConsole: false,
  });
  const heard = ENDINGS.map(([signal, code]) => [signal, () => interrupted(code)] as const);
  for (const [signal, leave] of heard) process.once(signal, leave);
  try {
    await app.waitUntilExit();
  } finally {
    restore();
    process.off('exit', restore);
    for (const [signal, leave] of heard) process.off(signal, leave);
  }
  if (failure !== undefined) throw failure.error;
  return exitCode;
}

type Size = Pick<NodeJS.WriteStream, 'columns' | 'rows'>;
type Sized = Size & Pick<NodeJS.WriteStream, 'on' | 'off'>;

function StatsApp({ look, colour, onFailure, onInterrupt, terminal, onResize }: { readonly look: () => Promise<StatsFrame>; readonly colour: boolean; readonly onFailure: (error: unknown) => void; readonly onInterrupt: () => void; readonly terminal: Sized; readonly onResize: () => void }): ReactNode {
  const { exit } = useApp();
  const { columns, rows } = useSize(terminal, onResize);
  const [view, setView] = useState<View>(FIRST_VIEW);
  const latest = useFrames(look, onFailure);
  const [held, setHeld] = useState<StatsFrame>();
  useInput((input, key) => {
    const next = pressed(view, input, key);
    if (next === undefined) return key.ctrl ? onInterrupt() : exit();
    if (next.paused && !view.paused) setHeld(latest);
    setView(next);
  });
  const frame = view.paused ? (held ?? latest) : latest;
  if (frame === undefined) return <Waiting />;
  return <StatsView frame={frame} view={view} columns={columns} rows={rows} colour={colour} />;
}

/** Looks once a second, one look at a time. */
function useFrames(look: () => Promise<StatsFrame>, onFailure: (error: unknown) => void): StatsFrame | undefined {
  const [latest, setLatest] = useState<StatsFrame>();
  useEffect(() => {
    let isLooking = false;
    const turn = (): void => {
      if (isLooking) return;
      isLooking = true;
      look()
        .then(setLatest)
        .catch(onFailure)
        .finally(() => {
          isLooking = false;
        });
    };
    turn();
    const timer = setInterval(turn, LOOK_MS);
    return () => clearInterval(timer);
  }, [look, onFailure]);
  return latest;
}

function useSize(terminal: Sized, onResize: () => void): Size {
  const [size, setSize] = useState(() => sizeOf(terminal));
  useEffect(() => {
    const change = (): void => {
      onResize();
      setSize(sizeOf(terminal));
    };
    terminal.on('resize', change);
    return () => void terminal.off('resize', change);
  }, [terminal, onResize]);
  return size;
}

function sizeOf({ columns, rows }: Size): Size {
  return { columns: columns > 0 ? columns : SIZE_DEFAULT.columns, rows: rows > 0 ? rows : SIZE_DEFAULT.rows };
}
