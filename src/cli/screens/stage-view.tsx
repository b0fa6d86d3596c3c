import { Box, Text } from 'ink';
import type { ReactNode } from 'react';
import { spanText } from '../format.ts';
import { printable } from '../printable.ts';
import type { StageState, Step } from '../stage.ts';
import { Toned } from './tone.tsx';
import type { Tone } from './tone.tsx';

const SPIN = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
/** Sign and tone of a step; the sign alone says it where there is no colour. */
const SIGNS: Readonly<Record<Exclude<Step['state'], 'running'>, readonly [sign: string, tone: Tone]>> = {
  waiting: ['·', 'dim'],
  done: ['✓', 'good'],
  warned: ['!', 'warn'],
  failed: ['✗', 'bad'],
};
/** A label stands this far from its value. */
const GAP = 2;
/** Where less than this is left for the notes, they follow the names instead of standing in a column. */
const NOTE_LEAST = 24;

/**
 * What a command that takes its time shows of itself: a title, what is known, its steps, and a question if there is one.
 * @param turn which of the spinner's pictures
 */
export function StageView({ state, columns, rows, colour, turn }: { readonly state: StageState; readonly columns: number; readonly rows: number; readonly colour: boolean; readonly turn: number }): ReactNode {
  const { title, facts, picture, steps, asking, hint } = state;
  const label = Math.max(0, ...facts.map(([name]) => name.length)) + GAP;
  const pictureLines = picture === undefined ? [] : picture.split('\n');
  // A picture that is cut is of no use to a camera; the address above it is.
  const fits = pictureLines.length > 0 && pictureLines.length + facts.length + steps.length + 5 <= rows && pictureLines.every((line) => line.length <= columns);
  const names = Math.max(0, ...steps.map(({ name }) => name.length)) + GAP;
  const nameColumns = steps.length > 1 && columns - 2 - names >= NOTE_LEAST ? names : undefined;
  return (
    <Box flexDirection="column" width={columns}>
      <Toned tone="strong" colour={colour}>{printable(title)}</Toned>
      {facts.map(([name, value]) => (
        <Box key={name}>
          <Box width={label} flexShrink={0}><Toned tone="dim" colour={colour}>{name}</Toned></Box>
          <Text wrap="wrap">{printable(value)}</Text>
        </Box>
      ))}
      {fits ? <Text>{`\n${pictureLines.join('\n')}\n`}</Text> : null}
      {steps.map((step) => <StepLine key={step.name} step={step} nameColumns={nameColumns} colour={colour} turn={turn} />)}
      {asking === undefined ? null : <Text wrap="wrap">{`? ${printable(asking.what)} (not shown): ${asking.isTyping ? '…' : ''}`}</Text>}
      {hint === undefined ? null : <Text wrap="wrap" dimColor={colour}>{printable(hint)}</Text>}
    </Box>
  );
}

function StepLine({ step, nameColumns, colour, turn }: { readonly step: Step; readonly nameColumns: number | undefined; readonly colour: boolean; readonly turn: number }): ReactNode {
  const [sign, tone]: readonly [string, Tone] = step.state === 'running' ? [SPIN[turn % SPIN.length] ?? '', 'accent'] : SIGNS[step.state];
  const name = `${printable(step.name)}${step.forMs === undefined ? '' : `, ${spanText(step.forMs)} so far`}`;
  const note = step.note === undefined ? '' : printable(step.note);
  return (
    <Box>
      <Box width={2} flexShrink={0}><Toned tone={tone} colour={colour}>{sign}</Toned></Box>
      {nameColumns === undefined || note === ''
        ? <Text wrap="wrap">{note === '' ? name : `${name}  ${note}`}</Text>
        : <><Box width={nameColumns} flexShrink={0}><Text>{name}</Text></Box><Text wrap="wrap">{note}</Text></>}
    </Box>
  );
}
