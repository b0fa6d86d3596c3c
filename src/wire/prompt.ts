import { Fault } from '../faults.ts';
import { bareObject, DEPTH_MAX, isFields } from './json.ts';
import type { Fields } from './json.ts';
import { addText, emptyMeasure, tokensOf } from './measure.ts';
import type { TextMeasure } from './measure.ts';
import type { Json, JsonObject } from './types.ts';

/** Roles, separators and the like, which every chat template puts around a message. */
export const TOKENS_A_MESSAGE = 16;
const PICTURE_TYPES: ReadonlySet<unknown> = new Set(['image_url', 'image', 'input_image']);
const PICTURE_FIELDS: ReadonlySet<string> = new Set(['image_url', 'image', 'source']);

/** What a prompt weighs, filled while it is copied. */
export interface PromptMeasure {
  readonly text: TextMeasure;
  readonly pictureTokens: number;
  messages: number;
  pictures: number;
  /** A picture or a film is in it. */
  vision: boolean;
}

export function newPrompt(pictureTokens: number): PromptMeasure {
  return { text: emptyMeasure(), pictureTokens, messages: 0, pictures: 0, vision: false };
}

/** `bound`: no prompt of these bytes has more tokens. `estimate`: what it probably has. */
export function promptTokens(prompt: PromptMeasure): { readonly bound: number; readonly estimate: number } {
  const pictures = prompt.pictures * prompt.pictureTokens;
  return {
    bound: prompt.text.bytes + prompt.messages * TOKENS_A_MESSAGE + pictures,
    estimate: tokensOf(prompt.text) + pictures,
  };
}

/** Copies a message and weighs it: all its text, its role aside; a picture counts as such, not by the bytes that carry it. */
export function copyMessage(message: Fields, param: string, prompt: PromptMeasure): JsonObject {
  prompt.messages += 1;
  return copyFields(message, (name, value) => {
    if (name === 'content' && Array.isArray(value)) return copyParts(value, `${param}.content`, prompt);
    return copyText(value, { param, measure: name === 'role' ? undefined : prompt.text });
  });
}

function copyParts(parts: readonly unknown[], param: string, prompt: PromptMeasure): Json {
  return parts.map((part) => {
    if (!isFields(part)) return copyText(part, { param, measure: prompt.text });
    const pictured = PICTURE_TYPES.has(part['type']) || part['image_url'] !== undefined;
    if (pictured) prompt.pictures += 1;
    if (pictured || part['type'] === 'video_url') prompt.vision = true;
    return copyFields(part, (name, value) => {
      const unread = name === 'type' || (pictured && PICTURE_FIELDS.has(name));
      return copyText(value, { param, measure: unread ? undefined : prompt.text });
    });
  });
}

interface Copying {
  /** Names the place in a refusal. */
  readonly param: string;
  /** Takes the JSON text's weight; undefined leaves the value unweighed. */
  readonly measure: TextMeasure | undefined;
}

/** A string weighs its characters; anything else its JSON text. */
function copyText(value: unknown, copying: Copying): Json {
  if (typeof value !== 'string') return copyJson(value, copying);
  if (copying.measure !== undefined) addText(copying.measure, value);
  return value;
}

/**
 * Copies a JSON value onto objects without a prototype, less `__proto__`, and weighs its JSON text without writing it.
 * @throws Fault invalid_request over 128 levels: the client's fault.
 */
export function copyJson(value: unknown, copying: Copying, depth = 0): Json {
  if (depth > DEPTH_MAX) {
    throw new Fault('invalid_request', { fill: { detail: `"${copying.param}" is nested deeper than ${DEPTH_MAX} levels.` }, param: copying.param });
  }
  const { measure } = copying;
  if (typeof value === 'string') {
    if (measure !== undefined) addJsonText(measure, value);
    return value;
  }
  if (Array.isArray(value)) {
    if (measure !== undefined) addPlain(measure, 1 + Math.max(1, value.length));
    const list: readonly unknown[] = value;
    return list.map((entry) => copyJson(entry, copying, depth + 1));
  }
  if (isFields(value)) {
    let separators = 1;
    const copy = copyFields(value, (name, entry) => {
      separators += 2;
      if (measure !== undefined) addJsonText(measure, name);
      return copyJson(entry, copying, depth + 1);
    });
    if (measure !== undefined) addPlain(measure, Math.max(2, separators));
    return copy;
  }
  if (typeof value === 'number' || typeof value === 'boolean') {
    if (measure !== undefined) addPlain(measure, String(value).length);
    return value;
  }
  if (measure !== undefined) addPlain(measure, 4);
  return null;
}

function copyFields(fields: Fields, copy: (name: string, value: unknown) => Json): JsonObject {
  const copied = bareObject();
  for (const name of Object.keys(fields)) {
    if (name !== '__proto__') copied[name] = copy(name, fields[name]);
  }
  return copied;
}

function addJsonText(measure: TextMeasure, text: string): void {
  addText(measure, text);
  addPlain(measure, 2 + escapesIn(text));
}

function addPlain(measure: TextMeasure, characters: number): void {
  measure.bytes += characters;
  measure.latin += characters;
}

/** What JSON adds to a text: a backslash before quotes, backslashes and line breaks, six characters for a rarer control. */
function escapesIn(text: string): number {
  let added = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit === 0x22 || unit === 0x5c) added += 1;
    else if (unit < 0x20) added += (unit >= 0x08 && unit <= 0x0a) || unit === 0x0c || unit === 0x0d ? 1 : 5;
  }
  return added;
}
