import type { Model } from '../catalog/index.ts';

/** The plain values that pass from station to station on the walk of a chat request. */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

export type Routing = 'auto' | 'cheapest' | 'fallback';

/** What a candidate model must be able to do for this request. */
export interface Needs {
  readonly tools: boolean;
  readonly vision: boolean;
  /** A picture or a video is named by its address on the web. */
  readonly linked: boolean;
  readonly json: 'none' | 'json_object' | 'json_schema';
}

/** A field of a request as its client wrote it. */
export interface WrittenField {
  /** UTF-8, from its name's first quote to the end of its value: `"n": 1`. */
  readonly text: Uint8Array;
  /** How many strings are in the value, names among them. */
  readonly strings: number;
}

/** A chat request as understood: the first of the six values. */
export interface ChatRequest {
  /** Public id, without a `:routing` suffix. */
  readonly model: string;
  /** As the client wrote it. */
  readonly requestedModel: string;
  readonly routing: Routing;
  readonly stream: boolean;
  /** The client set `stream_options.include_usage`. */
  readonly includeUsage: boolean;
  /** The inline or named BYOK key; never kept, never logged. */
  readonly providerKey: { readonly provider: string; readonly apiKey: string | undefined } | undefined;
  /** Every field as the client sent it, less the gateway's own (`routing`, `provider_key`). Null prototype throughout. */
  readonly body: JsonObject;
  /** The fields of `body` that say the same as their client wrote them, in its own words: `"name": value` in UTF-8. */
  readonly verbatim: ReadonlyMap<string, Uint8Array>;
  /** `max_completion_tokens`, else `max_tokens`; undefined where neither is a positive whole number. */
  readonly maxTokens: number | undefined;
  /** `n`, at least 1. */
  readonly choices: number;
  /** An upper bound of the prompt's tokens: bytes of text and tools, 16 a message, a setting a picture, another a video, a sound or a file; 100 million at most. */
  readonly promptBound: number;
  /** What the prompt probably is, in tokens: 0.3 a Latin character, 0.6 a CJK character; 100 million at most. */
  readonly promptEstimate: number;
  readonly needs: Needs;
}

/**
 * The class of an answer that is none. Source: facts of the providers, section 5.
 * retry: same provider again, then the next · overloaded: once more, then the next · next: the next at once ·
 * client: the request is at fault · key: the credential is refused · money: the provider's account is empty ·
 * policy: content refused · too_long: does not fit this model · gone: model or path unknown there
 */
export type FailureClass = 'retry' | 'overloaded' | 'next' | 'client' | 'key' | 'money' | 'policy' | 'too_long' | 'gone';

/** How an attempt ended, as far as routing, health and the client are concerned. */
export type Outcome =
  | { readonly kind: 'answered' }
  | {
      readonly kind: 'failed';
      readonly class: FailureClass;
      /** HTTP status of the provider; 0 where none came. An error inside a 200 counts with the status its class stands for, never as 200. */
      readonly status: number;
      /** The provider's own code or type, for logs and tests; never its text. */
      readonly providerCode: string;
      /** The provider's message, for the client of a `client`, `policy` or `too_long` failure only; never logged. */
      readonly message: string;
      /** The provider's Retry-After in milliseconds, if it sent a usable one. */
      readonly retryAfterMs: number | undefined;
      /** The request may have been processed: it must not be sent to the same provider again. */
      readonly maybeServed: boolean;
      /** The request itself may be at fault, whatever the status says: nothing is held against the provider. */
      readonly doubtful?: true;
      /** The provider answers this model in streams only, and would answer the same request so. */
      readonly onlyStreams?: true;
    };

export type Failure = Extract<Outcome, { kind: 'failed' }>;

/** Tokens as the books take them. `reported` by the provider, or `estimated` by us where it reported none. */
export interface Usage {
  readonly origin: 'reported' | 'estimated';
  readonly prompt: number;
  /** Part of `prompt`. */
  readonly cached: number;
  readonly completion: number;
  /** Part of `completion`. */
  readonly reasoning: number;
}

/** One server-sent event: `data` joined by newlines, `name` of its `event:` line, empty without one. */
export interface SseEvent {
  readonly data: string;
  readonly name: string;
}

/** Whole events as bytes, one character a byte: as they go to a client. */
export interface EventBytes {
  readonly bytes: string;
}

/** Whole events in valid UTF-8 as they came, not looked into but for this: they begin with `data: ` and end with a blank line. */
export interface EventBlock extends EventBytes {
  /** The events from one place to another, each the beginning of an event or the end. */
  scan(from: number, to: number): readonly SseEvent[];
}

/** What a client gets: the JSON text of a chunk, or whole events. */
export type Outgoing = string | EventBytes;

/**
 * Why no answer, or no whole answer, came. `connect`, `dns` and `tls` mean that nothing was sent.
 * `timeout`: our deadline · `reset`: the connection broke · `too_large`: over a cap · `encoding`: an encoding we refused · `redirect`: 3xx · `aborted`: by our signal
 */
export type TransportFailure = 'connect' | 'dns' | 'tls' | 'timeout' | 'reset' | 'too_large' | 'encoding' | 'redirect' | 'aborted';

/** A provider's answer that came whole, as `readWhole` takes it. */
export interface WholeReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** A whole answer, normalised for clients. */
export interface WholeAnswer {
  /** OpenAI's `chat.completion`; `model` is the public id; the provider's extras are gone, unknown fields stay. */
  readonly body: JsonObject;
  /** What the provider reported, range-checked; undefined where it reported nothing usable. */
  readonly usage: Usage | undefined;
  /** Tokens of the answer by our own estimate, for when nothing was reported. */
  readonly completionEstimate: number;
}

/**
 * One stream on its way to the client: takes the provider's events, gives normalised chunks, and keeps the books' view.
 * Chunks that bear a finish_reason (and usage) are kept back for `close`, for the cost must ride on the last of them.
 */
export interface AnswerStream {
  /** JSON texts that may go to the client now, in order; mostly one, often none. */
  take(event: SseEvent): readonly string[];
  /** The same for several events that came together: those that differ from earlier ones in their text only pass as they are. */
  take(arrived: SseEvent | EventBlock): readonly Outgoing[];
  /** Something of the answer has come (text, reasoning, a tool call, an end): from here on there is no failing over. */
  readonly started: boolean;
  /** The provider failed in-band: an error object, an error's finish_reason, `base_resp`. */
  readonly failure: Failure | undefined;
  /** As many choices as were asked for have come, and each has its finish_reason: nothing of the answer can be missing. */
  readonly finished: boolean;
  /** Each choice that has come has its finish_reason. An end in good order closes the answer then, for some providers give fewer choices than they are asked for. */
  readonly ended: boolean;
  /** `[DONE]` has come. */
  readonly done: boolean;
  /** The latest usage reported, cumulative and range-checked. */
  readonly usage: Usage | undefined;
  /** Tokens of what was given to the client so far, by our own estimate. */
  readonly completionEstimate: number;
  /** The chunks kept back, with usage and cost: on the finish chunk, or as a `choices: []` chunk where the client asked for one. */
  close(end: { readonly usage: Usage; readonly cost: number }): readonly string[];
}

/** What a whole answer came to. */
export type WholeOutcome = Failure | { readonly kind: 'answered'; readonly answer: WholeAnswer };

/** For whom a request is written down. */
export interface UpstreamTarget {
  readonly model: Model;
  /** Row of `QUIRKS`; one that is not there speaks plain OpenAI. */
  readonly dialect: string;
  /** Dialect in whose words the request came; undefined where it is this one's. */
  readonly writtenFor?: string | undefined;
  /** A limit of output tokens that replaces the client's own; undefined keeps the client's. Where the client set none, what the prompt leaves of the window may be less. */
  readonly maxTokens: number | undefined;
}

/** From whom a whole answer comes, and the names it bears towards the client. */
export interface WholeTarget {
  readonly dialect: string;
  readonly model: Model;
  readonly requestId: string;
  /** Unix seconds, for an answer that bears no `created`; 0 where it is left out. */
  readonly createdS?: number;
}

/** From whom a stream comes, and what the client asked of it. */
export interface AnswerTarget {
  readonly dialect: string;
  readonly model: Model;
  readonly requestId: string;
  readonly includeUsage: boolean;
  /** How many choices the provider was asked for. */
  readonly choices: number;
  /** Unix seconds, for frames that bear no `created`. */
  readonly createdS: number;
}

/** A whole answer in the clothes of a stream: `chunks` go to the client now, then `stream` is finished and done and waits for `close`. */
export interface SimulatedAnswer {
  readonly chunks: readonly string[];
  readonly stream: AnswerStream;
}

/** A stream on its way to becoming a whole answer. Not to be fed after `failure`, `done`, or once it was made whole. */
export interface GatheredAnswer extends Pick<AnswerStream, 'failure' | 'finished' | 'ended' | 'done'> {
  take(arrived: SseEvent | EventBlock): void;
  /** What has come, as a whole answer; a failure where nothing has, where the provider failed in-band, or where it is longer than a whole answer may be. */
  whole(): WholeOutcome;
}

/** A chat answer told in the words of another API: takes what the answer brings, gives the events that tell the same. */
export interface ChatTranslation {
  /** Of a chunk, or of a whole answer: the events to be told now, as server-sent events in UTF-16. */
  take(answer: unknown): string;
  /** The answer is whole: the last events. */
  finish(): string;
  /** It broke off. @param error as the error of a chat call has it */
  fail(error: unknown): string;
  /** The end has been told. */
  readonly over: boolean;
  /** All of it so far, as a whole answer of that API. */
  whole(): JsonObject;
}
