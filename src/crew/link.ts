import type { Duplex } from 'node:stream';
import { deserialize, serialize } from 'node:v8';

/** What one end may be asked: each topic with what is sent and what comes back. */
export type Topics<T> = { readonly [K in keyof T]: { readonly ask: unknown; readonly answer: unknown } };

/** How an end answers what it is asked. What a handler of a mere telling returns goes nowhere. */
export type Handlers<T extends Topics<T>> = { readonly [K in keyof T]: (body: T[K]['ask']) => T[K]['answer'] | Promise<T[K]['answer']> };

/** One end of a talk between two processes. @typeParam T what the other end may be asked */
export interface Link<T extends Topics<T>> {
  /** @throws Error where the other end is gone or failed over it. */
  ask<K extends keyof T & string>(topic: K, body: T[K]['ask']): Promise<T[K]['answer']>;
  /** Says something that needs no answer. Everything arrives in the order in which it was said or asked. */
  tell<K extends keyof T & string>(topic: K, body: T[K]['ask']): void;
  /** As `tell`, but it may wait for the next thing that is said, and leave with it. */
  tellAlong<K extends keyof T & string>(topic: K, body: T[K]['ask']): void;
  /** Begins to answer these topics, besides those that are answered already. Before the first of it nothing is heard. */
  serve<Ours extends Topics<Ours>>(handlers: Handlers<Ours>): void;
  /** Resolves when what was said has left, or the other end is gone. */
  flushed(): Promise<void>;
  /** Resolves when the other end is gone and all that it said has been heard. */
  readonly gone: Promise<void>;
}

/** A topic, the number of the question (0: nothing is asked), and what is said. */
type Word = readonly [topic: string, number: number, body: unknown];

const LENGTH_BYTES = 4;
/** Topics of answers; no topic of a table is named so. */
const ANSWER = '.';
const FAILED = '!';
/** A length beyond this is no length: the stream is broken. */
const FRAME_MAX = 1 << 30;

interface Question {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Talks over a stream of bytes, in the form of Node's structured clone, so that a bigint stays one. All that one turn of the
 * event loop says leaves in one frame: what costs is waking the other process, not what it is told.
 */
export function openLink<Theirs extends Topics<Theirs>>(stream: Duplex): Link<Theirs> {
  return new Talk<Theirs>(stream);
}

class Talk<Theirs extends Topics<Theirs>> implements Link<Theirs> {
  readonly gone: Promise<void>;
  readonly #stream: Duplex;
  readonly #handlers = new Map<string, (body: unknown) => unknown>();
  /**
   * What waits for its answer, at the place of its number; an answered one's number is given again. Not a map: V8 keeps the tables that a map
   * was moved out of, and with them what the questions led to, each a whole call, until the next full collection.
   */
  readonly #asked: (Question | undefined)[] = [undefined];
  readonly #free: number[] = [];
  #words: Word[] = [];
  #isDue = false;
  #isGone = false;

  constructor(stream: Duplex) {
    this.#stream = stream;
    this.gone = new Promise((resolve) => {
      stream.once('close', () => {
        this.#isGone = true;
        for (const question of this.#asked) question?.reject(goneError());
        this.#asked.length = 0;
        resolve();
      });
    });
    // An end that dies resets the stream; that it closes is all there is to know.
    stream.on('error', () => stream.destroy());
    stream.on('end', () => stream.destroy());
  }

  ask<K extends keyof Theirs & string>(topic: K, body: Theirs[K]['ask']): Promise<Theirs[K]['answer']> {
    return new Promise((resolve, reject) => {
      if (this.#isGone) return reject(goneError());
      const number = this.#free.pop() ?? this.#asked.length;
      this.#asked[number] = { resolve: (answer) => resolve(answer), reject };
      this.#say([topic, number, body]);
    });
  }

  tell<K extends keyof Theirs & string>(topic: K, body: Theirs[K]['ask']): void {
    this.#say([topic, 0, body]);
  }

  tellAlong<K extends keyof Theirs & string>(topic: K, body: Theirs[K]['ask']): void {
    if (!this.#isGone) this.#words.push([topic, 0, body]);
  }

  serve<Ours extends Topics<Ours>>(handlers: Handlers<Ours>): void {
    // Each topic's question and answer belong together; the talk in between does not look at either.
    for (const [topic, handler] of Object.entries(handlers)) this.#handlers.set(topic, handler as (body: unknown) => unknown);
    if (this.#stream.listenerCount('data') > 0) return;
    this.#stream.on('data', readFrames((frame) => {
      // Only the other end of this talk writes here, in the form of `#send`.
      for (const word of deserialize(frame) as Word[]) this.#hear(word);
    }));
  }

  flushed(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isGone) return resolve();
      this.#send();
      void this.gone.then(resolve);
      this.#stream.write('', () => resolve());
    });
  }

  #say(word: Word): void {
    if (this.#isGone) return;
    this.#words.push(word);
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => this.#send());
  }

  #send(): void {
    this.#isDue = false;
    if (this.#words.length === 0) return;
    const frame = serialize(this.#words);
    this.#words = [];
    const length = Buffer.allocUnsafe(LENGTH_BYTES);
    length.writeUInt32LE(frame.length);
    this.#stream.cork();
    this.#stream.write(length);
    this.#stream.write(frame);
    this.#stream.uncork();
  }

  #hear([topic, number, body]: Word): void {
    if (topic !== ANSWER && topic !== FAILED) {
      this.#answer(topic, number, body).catch((error: unknown) => {
        // A telling has nobody to answer to: a fault of it is a fault of this process.
        if (number === 0) throw error;
        this.#say([FAILED, number, error instanceof Error ? error.message : String(error)]);
      });
      return;
    }
    const question = this.#asked[number];
    if (question === undefined) return;
    this.#asked[number] = undefined;
    this.#free.push(number);
    if (topic === ANSWER) question.resolve(body);
    else question.reject(new Error(String(body)));
  }

  async #answer(topic: string, number: number, body: unknown): Promise<void> {
    const handler = this.#handlers.get(topic);
    if (handler === undefined) throw new Error(`nobody here knows of ${topic}`);
    const result = handler(body);
    if (number !== 0) this.#say([ANSWER, number, result instanceof Promise ? await result : result]);
    else if (result instanceof Promise) await result;
  }
}

function goneError(): Error {
  return new Error('the other process is gone');
}

/** Cuts what arrives into frames, each behind its length. A frame that is cut off at the end was never said. */
export function readFrames(take: (frame: Buffer) => void): (part: Buffer) => void {
  let parts: Buffer[] = [];
  let size = 0;
  let wanted = LENGTH_BYTES;
  return (part) => {
    parts.push(part);
    size += part.length;
    if (size < wanted) return;
    const [first] = parts;
    const bytes = parts.length === 1 && first !== undefined ? first : Buffer.concat(parts, size);
    let at = 0;
    for (;;) {
      wanted = LENGTH_BYTES;
      if (bytes.length - at < wanted) break;
      const length = bytes.readUInt32LE(at);
      if (length > FRAME_MAX) throw new RangeError(`a frame of ${length} bytes`);
      wanted += length;
      if (bytes.length - at < wanted) break;
      take(bytes.subarray(at + LENGTH_BYTES, at + wanted));
      at += wanted;
    }
    size = bytes.length - at;
    parts = size === 0 ? [] : [bytes.subarray(at)];
  };
}
