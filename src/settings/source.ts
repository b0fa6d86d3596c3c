import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';
import { fill } from './environment.ts';
import type { Environment } from './environment.ts';
import { SettingsError } from './refusal.ts';

export type Path = readonly (string | number)[];
export type Mapping = Readonly<Record<string, unknown>>;

/** A YAML file, read: its data with the environment filled in, and where everything stands. */
export interface Source {
  /** As refusals show it. */
  readonly name: string;
  readonly data: Mapping;
  /** What the file says at a path, before the environment is filled in. */
  written(path: Path): unknown;
  /** How many steps of the path the file has. */
  depth(path: Path): number;
  /** `file:line:col` of the deepest step that the file has; of the name instead of what it holds, if the name is wrong. */
  place(path: Path, nameIsWrong?: boolean): string;
}

const ALIAS = 'this * or & names nothing. Put a text that begins so in quotes';

/** Sentences of our own, for the parser's quote the file, and the file holds secrets. */
const MISTAKES: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'a tab indents this line. Use blanks',
  DUPLICATE_KEY: 'this name stands here twice. Leave one out',
  BAD_INDENT: 'this line is indented wrongly, or a bracket before it is still open. Line it up with its neighbours, or close the bracket',
  MISSING_CHAR: 'a quote, a bracket or a colon is missing. Close what was opened',
  BLOCK_AS_IMPLICIT_KEY: 'a name and its value do not fit on this line. Start a new line, or put the value in quotes',
  MULTIPLE_DOCS: 'the file holds more than one document. Leave out the line ---',
  BAD_ALIAS: ALIAS,
};

/**
 * Reads a YAML text, fills `${NAME}` in its strings and remembers where all of it stands. The parser is loaded here, at the
 * first file, for commands that read none should not wait for it.
 * @throws SettingsError on a text that is no YAML mapping, or names a variable that is not set: whoever wrote the file.
 */
export function readSource(name: string, text: string, env: Environment): Source {
  // UTF-16 read as UTF-8: every second byte is nothing, or its mark is no character.
  if (/\0|^\uFFFD/.test(text)) throw new SettingsError(`${name}:1:1: the file is no UTF-8 text. Save it as UTF-8.`);
  const yaml = createRequire(import.meta.url)('yaml') as typeof Yaml;
  const lines = new yaml.LineCounter();
  const document = yaml.parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2' });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) throw new SettingsError(`${at(fault.pos[0])}: ${MISTAKES[fault.code] ?? 'this is no valid YAML. Mend the line, or put a text in quotes'}.`);

  yaml.visit(document, {
    Alias(_, alias, above) {
      const meant = alias.resolve(document);
      if (meant === undefined) throw new SettingsError(`${at(alias.range?.[0] ?? 0)}: ${ALIAS}.`);
      if (above.includes(meant)) throw new SettingsError(`${at(alias.range?.[0] ?? 0)}: this * stands inside of what it names, which would have no end. Write the value out.`);
    },
    Pair(_, { key }) {
      const name = yaml.isAlias(key) ? key.resolve(document) : key;
      if (yaml.isCollection(name)) throw new SettingsError(`${at(yaml.isNode(key) ? key.range?.[0] ?? 0 : 0)}: a list or a mapping stands where a name belongs. Write a plain name, and put a text with { or [ in quotes.`);
    },
  });

  const walk = (path: Path) => walkTo(yaml, document, path);
  const place = (path: Path, nameIsWrong = false): string => {
    const { node, key } = walk(path);
    return at((nameIsWrong ? key ?? node : node ?? key)?.range?.[0] ?? 0);
  };
  const raw = toPlain(document, name);
  const fillAt = (value: unknown, path: Path): unknown => {
    if (typeof value === 'string') {
      const filled = fill(value, env);
      if (filled.wrong !== undefined) throw new SettingsError(`${place(path)}: ${path.join('.')}: ${filled.wrong}`);
      return filled.value;
    }
    if (Array.isArray(value)) return value.map((item: unknown, index) => fillAt(item, [...path, index]));
    if (!isMapping(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fillAt(item, [...path, key])]));
  };
  const data = fillAt(raw, []);
  if (!isMapping(data)) throw new SettingsError(`${at(0)}: expected names and values. Write for example server: { port: 8787 }.`);
  return { name, data, place, depth: (path) => walk(path).depth, written: (path) => path.reduce(step, raw) };
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Located {
  readonly depth: number;
  readonly node: Yaml.Node | undefined;
  /** The name of the last step taken, where that is a mapping's. */
  readonly key: Yaml.Node | undefined;
}

/** Follows a path through the document as far as it goes. */
function walkTo(yaml: typeof Yaml, document: Yaml.Document, path: Path): Located {
  let node: Yaml.Node | undefined = document.contents ?? undefined;
  let key: Yaml.Node | undefined;
  for (const [depth, name] of path.entries()) {
    if (yaml.isAlias(node)) node = node.resolve(document);
    if (yaml.isMap(node)) {
      const pair: Yaml.Pair | undefined = node.items.find((item) => yaml.isScalar(item.key) && String(item.key.value) === String(name));
      if (pair === undefined) return { depth, node: key ?? node, key };
      key = yaml.isNode(pair.key) ? pair.key : undefined;
      node = yaml.isNode(pair.value) ? pair.value : undefined;
    } else {
      const item: unknown = yaml.isSeq(node) && typeof name === 'number' ? node.items[name] : undefined;
      if (!yaml.isNode(item)) return { depth, node: key ?? node, key };
      node = item;
      key = undefined;
    }
  }
  return { depth: path.length, node, key };
}

function toPlain(document: Yaml.Document.Parsed, name: string): unknown {
  if (document.contents === null) return {};
  try {
    return document.toJS({ maxAliasCount: 100 }) as unknown;
  } catch (refusal) {
    if (!(refusal instanceof ReferenceError)) throw refusal;
    throw new SettingsError(`${name}:1:1: too many aliases (*name) are nested. Write the values out.`);
  }
}

function step(value: unknown, name: string | number): unknown {
  if (Array.isArray(value) && typeof name === 'number') return value[name] as unknown;
  return isMapping(value) ? value[String(name)] : undefined;
}
