// The stream clients in plain Node on bare sockets. Argument: JSON { mode, port, path, headers, body, streams, seconds, … }.
// `first`: calls again and again, and notes when the first event comes. `paced`: opens all streams, then notes how late events are, each
// against the moment of sending that stands in it. `hold`: opens streams and reads what comes, at `bytesPerS` where that is given.
// Prints lines of JSON; `hold` prints one when all streams are open, and ends when its standard input does.
import { connect } from 'node:net';
import { PACE_MS } from './canned.mjs';

const order = JSON.parse(process.argv[2]);
const { mode, port, path, headers, body, streams, seconds } = order;
const head = Object.entries({ host: `127.0.0.1:${port}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers });
const REQUEST = Buffer.from(`POST ${path} HTTP/1.1\r\n${head.map(([name, value]) => `${name}: ${value}`).join('\r\n')}\r\n\r\n${body}`);
const STAMP = /@(\d+)@/g;
/** A slow reader takes its share this often a second. */
const SIPS_A_SECOND = 10;
/** Streams of a wave that are opened at once; the next wave waits for their first events. */
const WAVE = 100;
const OPEN_MS = 60_000;
/** A stream is held where this share of its events come within this time of being sent. */
const HELD_SHARE = 0.99;
const IN_TIME_US = 100_000;
/** The upstream's timers are late themselves, so that it sends fewer events than are due; with less than this share a stream has stood still. */
const ALIVE_SHARE = 0.75;

const nowUs = () => Number(process.hrtime.bigint() / 1000n);
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const open = (onData) => {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.on('data', (part) => onData(part, socket));
  return socket;
};

function spread(values) {
  const sorted = Float64Array.from(values).sort();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50Us: at(0.5), p99Us: at(0.99), mostUs: at(1) };
}

/** Each client asks, waits for the first event and for the end, and asks again. */
async function first() {
  const waitsUs = [];
  let broken = 0;
  let isOver = false;
  for (let at = 0; at < streams; at += 1) {
    let sentUs = 0;
    let text = '';
    const socket = open((part) => {
      const before = text.includes('data: {');
      text += part.toString('latin1');
      if (!before && text.includes('data: {')) waitsUs.push(nowUs() - sentUs);
      if (!text.endsWith('\r\n0\r\n\r\n') && !/\r\n0\r\n([\w-]+: [^\r\n]*\r\n)*\r\n$/.test(text)) return;
      if (!text.startsWith('HTTP/1.1 200') || !text.includes('data: [DONE]')) broken += 1;
      ask();
    });
    const ask = () => {
      text = '';
      sentUs = nowUs();
      socket.write(REQUEST);
    };
    socket.on('connect', ask).on('error', () => (broken += isOver ? 0 : 1)).on('end', () => (broken += isOver ? 0 : 1));
  }
  await pause(seconds * 1000);
  isOver = true;
  tell({ answers: waitsUs.length, broken, ...spread(waitsUs) });
  process.exit();
}

/** Opens all streams, lets them run a moment, then counts for some seconds. */
async function paced() {
  const sockets = [];
  let isCounting = false;
  let events = 0;
  let broken = 0;
  const lateUs = [];
  /** Of each stream, the events that came in time. */
  const inTime = Array.from({ length: streams }, () => 0);
  const arrived = Array.from({ length: streams }, () => 0);
  for (let at = 0; at < streams; at += 1) {
    const socket = open((part) => {
      if (!isCounting) return;
      const text = part.toString('latin1');
      for (const [, stamp] of text.matchAll(STAMP)) {
        const late = nowUs() - Number(stamp);
        events += 1;
        arrived[at] += 1;
        lateUs.push(late);
        if (late <= IN_TIME_US) inTime[at] += 1;
      }
    });
    socket.on('connect', () => socket.write(REQUEST)).on('error', () => (broken += 1)).on('end', () => (broken += 1));
    sockets.push(socket);
    await pause(5);
  }
  await pause(order.settleSeconds * 1000);
  tell({ counting: true });
  isCounting = true;
  const startedUs = nowUs();
  await pause(seconds * 1000);
  isCounting = false;
  const elapsedS = (nowUs() - startedUs) / 1e6;
  const due = (elapsedS * 1000) / PACE_MS;
  tell({ events, broken, held: inTime.filter((count, at) => arrived[at] >= ALIVE_SHARE * due && count >= HELD_SHARE * arrived[at]).length, elapsedS, ...spread(lateUs) });
  process.exit();
}

async function hold() {
  let opened = 0;
  let broken = 0;
  let bytes = 0;
  const startedMs = Date.now();
  for (let wave = 0; wave < streams; wave += WAVE) {
    for (let at = wave; at < Math.min(streams, wave + WAVE); at += 1) {
      let isOpen = false;
      const socket = open((part) => {
        bytes += part.length;
        if (!isOpen && part.includes('data: {')) {
          isOpen = true;
          opened += 1;
        }
        if (order.bytesPerS !== undefined) sip(socket, part.length);
      });
      socket.on('connect', () => socket.write(REQUEST)).on('error', () => (broken += 1)).on('end', () => (broken += 1));
    }
    while (opened + broken < Math.min(streams, wave + WAVE) && Date.now() - startedMs < OPEN_MS) await pause(10);
  }
  tell({ opened, broken });
  process.stdin.on('end', () => {
    tell({ opened, broken, bytes });
    process.exit();
  }).resume();
}

/** Rests for as long as this much takes at the reader's speed. */
function sip(socket, length) {
  socket.pause();
  setTimeout(() => socket.resume(), Math.max(1000 / SIPS_A_SECOND, (length / order.bytesPerS) * 1000));
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

await { first, paced, hold }[mode]();
