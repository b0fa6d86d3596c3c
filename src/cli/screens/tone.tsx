import { Box, Text } from 'ink';
import type { ReactNode } from 'react';
import { sparkline } from '../stats/figures.ts';

/** What a text means; colour only repeats what sign and word say. */
export type Tone = 'plain' | 'strong' | 'dim' | 'accent' | 'good' | 'warn' | 'bad';

const COLOURS: Partial<Record<Tone, string>> = { accent: 'cyan', good: 'green', warn: 'yellow', bad: 'red' };

/** A line of text with a meaning, cut where it is too long. Without colour it is plain. */
export function Toned({ tone, colour, children }: { readonly tone: Tone; readonly colour: boolean; readonly children: ReactNode }): ReactNode {
  const shade = COLOURS[tone];
  return (
    <Text wrap="truncate" bold={tone === 'strong'} dimColor={colour && tone === 'dim'} {...(colour && shade !== undefined ? { color: shade } : {})}>
      {children}
    </Text>
  );
}

function Pair({ left, right, tone, colour }: { readonly left: string; readonly right: string; readonly tone: Tone; readonly colour: boolean }): ReactNode {
  return (
    <Box justifyContent="space-between" gap={1}>
      <Toned tone="dim" colour={colour}>{left}</Toned>
      <Box flexShrink={0}><Toned tone={tone} colour={colour}>{right}</Toned></Box>
    </Box>
  );
}

/** A frame with a title, its value now, a note and the curve of its values. */
export function Card(props: { readonly width: number; readonly title: string; readonly value: string; readonly note: string; readonly values: readonly number[]; readonly tone: Tone; readonly colour: boolean }): ReactNode {
  const { width, title, value, note, values, tone, colour } = props;
  return (
    <Box width={width} height={4} borderStyle="round" flexDirection="column" paddingX={1} {...(colour ? { borderColor: 'gray' } : {})}>
      <Pair left={title} right={value} tone="strong" colour={colour} />
      <Pair left={note} right={sparkline(values, width - 5 - note.length)} tone={tone} colour={colour} />
    </Box>
  );
}

/** Lines under a title, exactly so many rows high and so many columns wide. */
export function Sheet(props: { readonly width: number; readonly height: number; readonly title: string; readonly rows: readonly { readonly text: string; readonly tone: Tone }[]; readonly colour: boolean }): ReactNode {
  const { width, height, title, rows, colour } = props;
  const rule = `── ${title} ${'─'.repeat(Math.max(0, width - title.length - 4))}`;
  return (
    <Box width={width} height={height} flexDirection="column" overflow="hidden">
      <Toned tone="dim" colour={colour}>{rule}</Toned>
      {rows.slice(0, Math.max(0, height - 1)).map(({ text, tone }, index) => <Toned key={index} tone={tone} colour={colour}>{text === '' ? ' ' : text}</Toned>)}
    </Box>
  );
}
