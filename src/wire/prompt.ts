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
/** Parts that a model reads as text. One of a type that stands nowhere here may bring anything. */
const TEXT_TYPES: ReadonlySet<unknown> = new Set([undefined, 'text', 'input_text', 'output_text', 'refusal', 'thinking', 'reasoning', 'tool_use', 'tool_call', 'tool_result']);
const VIDEO_TYPES: ReadonlySet<unknown> = new Set(['video_url', 'video', 'input_video']);
/** What carries a video or a sound: its bytes, or where they are, say nothing about its tokens. */
const PLAYED_FIELDS = ['video_url', 'video', 'input_video', 'audio_url', 'audio', 'input_audio'] as const;
const PLAYED: ReadonlySet<string> = new Set(PLAYED_FIELDS);

/** Tokens that parts of a prompt other than text count. */
export interface PartTokens {
  readonly pictureTokens: number;
  /** Of a video, a sound or a file, at least those of a picture. */
  readonly mediaTokens: number;
}

/** What a prompt weighs, filled while it is copied. */
export interface PromptMeasure {
  readonly text: TextMeasure;
  readonly each: PartTokens;
  /** Strings that were copied, names among them, weighed or not. */
  strings: number;
  messages: number;
  pictures: number;
  /** Videos, sounds and files. */
  media: number;
  /** A picture or a video is in it. */
  vision: boolean;
  /** One of them is named by its address on the web, for the provider to fetch. */
  linked: boolean;
}

export function newPrompt(each: PartTokens): PromptMeasure {
  return { text: emptyMeasure(), each, strings: 0, messages: 0, pictures: 0, media: 0, vision: false, linked: false };
}

/**
 * `bound`: no prompt of these bytes has more tokens. `estimate`: what it probably has; most videos, sounds and files are short, and count
 * as pictures there.
 */
export function promptTokens(prompt: PromptMeasure): { readonly bound: number; readonly estimate: number } {
  const { pictureTokens, mediaTokens } = prompt.each;
  return {
    bound: prompt.text.bytes + prompt.messages * TOKENS_A_MESSAGE + prompt.pictures * pictureTokens + prompt.media * Math.max(mediaTokens, pictureTokens),
    estimate: tokensOf(prompt.text) + (prompt.pictures + prompt.media) * pictureTokens,
  };
}

/**
 * Copies a message and weighs it: all its text, its role aside; a picture, a video or a sound counts as such, not by the bytes that carry
 * it. A file counts as such and by its bytes, for it may be text.
 */
export function copyMessage(message: Fields, param: string, prompt: PromptMeasure): JsonObject {
  prompt.messages += 1;
  return copyFields(message, prompt, (name, value) => {
    if (name === 'content' && Array.isArray(value)) return copyParts(value, `${param}.content`, prompt);
    return copyText(value, { param, prompt, measure: name === 'role' ? undefined : prompt.text });
  });
}

function copyParts(parts: readonly unknown[], param: string, prompt: PromptMeasure): Json {
  return parts.map((part) => {
    if (!isFields(part)) return copyText(part, { param, prompt, measure: prompt.text });
    const { type } = part;
    const pictured = PICTURE_TYPES.has(type) || part['image_url'] !== undefined;
    const isMedia = PLAYED_FIELDS.some((name) => part[name] !== undefined) || part['file'] !== undefined || (!pictured && !TEXT_TYPES.has(type));
    if (pictured) prompt.pictures += 1;
    if (isMedia) prompt.media += 1;
    if (pictured || VIDEO_TYPES.has(type) || part['video_url'] !== undefined || part['video'] !== undefined) prompt.vision = true;
    if (isLink(part['image_url']) || isLink(part['video_url'])) prompt.linked = true;
    return copyFields(part, prompt, (name, value) => {
      const unread = name === 'type' || PLAYED.has(name) || (pictured && PICTURE_FIELDS.has(name));
      return copyText(value, { param, prompt, measure: unread ? undefined : prompt.text });
    });
  });
}

/** `{ url: 'https://…' }`, or the address alone; a picture that comes along is a `data:` address. */
function isLink(place: unknown): boolean {
  const url = isFields(place) ? place['url'] : place;
  return typeof url === 'string' && /^https?:/i.test(url);
}

interface Copying {
  /** Names the place in a refusal. */
  readonly param: string;
  readonly prompt: PromptMeasure;
  /** Takes the JSON text's weight; undefined leaves the value unweighed. */
  readonly measure: TextMeasure | undefined;
}

/** A string weighs its characters; anything else its JSON text. */
function copyText(value: unknown, copying: Copying): Json {
  if (typeof value !== 'string') return copyJson(value, copying);
  copying.prompt.strings += 1;
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
    copying.prompt.strings += 1;
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
    const copy = copyFields(value, copying.prompt, (name, entry) => {
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

function copyFields(fields: Fields, prompt: PromptMeasure, copy: (name: string, value: unknown) => Json): JsonObject {
  const copied = bareObject();
  for (const name of Object.keys(fields)) {
    if (name === '__proto__') continue;
    prompt.strings += 1;
    copied[name] = copy(name, fields[name]);
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
