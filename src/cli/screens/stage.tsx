import { render, renderToString, useInput } from 'ink';
import { useEffect, useState } from 'react';
import type { ReactNode } from 'react';
import { EXIT, Refusal } from '../failure.ts';
import type { Stage, StageState, Step } from '../stage.ts';
import type { Terminal } from '../terminal.ts';
import { openBelow } from './below.ts';
import { StageView } from './stage-view.tsx';

const TURN_MS = 100;
const SIZE_DEFAULT = { columns: 80, rows: 24 } as const;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

interface Held {
  state: StageState;
  changed: () => void;
  typed: (input: string, key: Typed) => void;
}

type Typed = Readonly<{ ctrl: boolean; return: boolean; backspace: boolean; delete: boolean }>;

/** One state as text, for the tests. A line ends where its text does. */
export function stageText(state: StageState, size: { readonly columns: number; readonly rows: number; readonly colour: boolean }): string {
  return renderToString(<StageView state={state} {...size} turn={0} />, { columns: size.columns });
}

/**
 * What one key does to a secret that is being typed: the secret so far, or how its typing ended.
 * A paste comes as one input; its line end ends it. Pure, so that a test can type.
 */
export function typedSecret(secret: string, input: string, key: Typed): { readonly secret: string; readonly end?: 'enter' | 'interrupt' } {
  if (key.ctrl && input === 'c') return { secret, end: 'interrupt' };
  if (key.return || (key.ctrl && input === 'd')) return { secret, end: 'enter' };
  if (key.backspace || key.delete) return { secret: [...secret].slice(0, -1).join('') };
  if (key.ctrl) return { secret };
  const [line = '', ...rest] = input.split(/\r\n|\r|\n/);
  return { secret: secret + line.replace(/\p{Cc}/gu, ''), ...(rest.length > 0 ? { end: 'enter' } : {}) };
}

/** Opens a stage on stderr, below what stands there. The keyboard is the stage's until it is left. */
export function openStage(terminal: Terminal, first: StageState): Stage {
  let interrupt: (refusal: Refusal) => void = () => undefined;
  const interrupted = new Promise<never>((_resolve, reject) => (interrupt = reject));
  // Who leaves in good order never looks at it.
  interrupted.catch(() => undefined);
  const stop = (): void => interrupt(new Refusal('interrupted.', EXIT.interrupted));
  const held: Held = {
    state: first,
    changed: () => undefined,
    typed: (input, key) => {
      if (key.ctrl && input === 'c') stop();
    },
  };
  const watching = held.typed;
  // Not `once`: Ink's own watch over signals ends the process where it finds itself the only one left that listens.
  for (const signal of SIGNALS) process.on(signal, stop);
  const below = openBelow(terminal.stderr);
  const app = render(<StageApp held={held} colour={terminal.colour} size={terminal.stderr} />, { stdout: below.stdout, stdin: terminal.stdin, exitOnCtrlC: false, patchConsole: false });
  const show = (change: Partial<StageState>): void => {
    held.state = { ...held.state, ...change };
    held.changed();
  };
  let left: Promise<void> | undefined;
  return {
    show,
    step: (name, change) => show({ steps: held.state.steps.map((step): Step => (step.name === name ? { ...step, ...change } : step)) }),
    ask: (what) => new Promise((resolve, reject) => {
      let secret = '';
      show({ asking: { what, isTyping: false } });
      held.typed = (input, key) => {
        const next = typedSecret(secret, input, key);
        secret = next.secret;
        if (next.end === undefined) return show({ asking: { what, isTyping: secret !== '' } });
        held.typed = watching;
        show({ asking: undefined });
        if (next.end === 'enter') resolve(secret.trim());
        else reject(new Refusal('interrupted; nothing was changed.', EXIT.interrupted));
      };
    }),
    interrupted,
    leave: () => (left ??= leave()),
  };

  async function leave(): Promise<void> {
    for (const signal of SIGNALS) process.off(signal, stop);
    // What was shown last stays: a change that React has not drawn yet would be lost with its tree.
    app.rerender(<StageView state={held.state} {...sizeOf(terminal.stderr)} colour={terminal.colour} turn={0} />);
    app.unmount();
    await app.waitUntilExit();
    below.leave();
  }
}

function StageApp({ held, colour, size }: { readonly held: Held; readonly colour: boolean; readonly size: NodeJS.WriteStream | Terminal['stderr'] }): ReactNode {
  const [turn, setTurn] = useState(0);
  const [, setChange] = useState({});
  useInput((input, key) => held.typed(input, key));
  useEffect(() => {
    const changed = (): void => setChange({});
    Object.assign(held, { changed });
    const timer = setInterval(() => setTurn((before) => before + 1), TURN_MS);
    size.on('resize', changed);
    return () => {
      clearInterval(timer);
      size.off('resize', changed);
    };
  }, [held, size]);
  return <StageView state={held.state} {...sizeOf(size)} colour={colour} turn={turn} />;
}

function sizeOf({ columns, rows }: { readonly columns: number; readonly rows: number }): { readonly columns: number; readonly rows: number } {
  return { columns: columns > 0 ? columns : SIZE_DEFAULT.columns, rows: rows > 0 ? rows : SIZE_DEFAULT.rows };
}
