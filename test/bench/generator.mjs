// The load generator in plain Node on bare sockets: for streams always, for whole answers where wrk is missing.
// Argument: JSON { port, path, headers, body, connections, seconds, isStream }. Prints one line of JSON.
import { connect } from 'node:net';

const { port, path, headers, body, connections, seconds, isStream } = JSON.parse(process.argv[2]);
const head = Object.entries({ host: `127.0.0.1:${port}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers });
const REQUEST = Buffer.from(`POST ${path} HTTP/1.1\r\n${head.map(([name, value]) => `${name}: ${value}`).join('\r\n')}\r\n\r\n${body}`);
/** Enough for the last event, the closing chunk and the trailers. */
const TAIL_BYTES = 1024;

const tally = { answers: 0, refused: 0, broken: 0, bytes: 0, latenciesUs: [] };
const startedNs = process.hrtime.bigint();
let isOver = false;
const sockets = Array.from({ length: connections }, open);

setTimeout(() => {
  isOver = true;
  const elapsedS = Number(process.hrtime.bigint() - startedNs) / 1e9;
  const { latenciesUs, ...counts } = tally;
  latenciesUs.sort((a, b) => a - b);
  const at = (share) => latenciesUs[Math.min(latenciesUs.length - 1, Math.floor(latenciesUs.length * share))] ?? 0;
  process.stdout.write(`${JSON.stringify({ ...counts, elapsedS, p50Us: at(0.5), p99Us: at(0.99) })}\n`);
  for (const socket of sockets) socket.destroy();
}, seconds * 1000);

function open() {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let answer = fresh();
  let sentNs = 0n;
  const send = () => {
    answer = fresh();
    sentNs = process.hrtime.bigint();
    socket.write(REQUEST);
  };
  socket.on('connect', send);
  socket.on('data', (part) => {
    if (isOver) return;
    tally.bytes += part.length;
    if (!take(answer, part)) return;
    const isGood = answer.status === 200 && (!isStream || answer.tail.includes('data: [DONE]'));
    if (isGood) tally.answers += 1;
    else if (answer.status === 200) tally.broken += 1;
    else tally.refused += 1;
    tally.latenciesUs.push(Number(process.hrtime.bigint() - sentNs) / 1000);
    send();
  });
  const lost = () => {
    if (!isOver) tally.broken += 1;
  };
  socket.on('error', lost);
  socket.on('end', lost);
  return socket;
}

function fresh() {
  return { head: '', status: 0, length: -1, got: 0, tail: '' };
}

/** Reads on; true where the answer is whole: at its length, or at the chunk of length 0 with or without trailers. */
function take(answer, part) {
  let rest = part;
  if (answer.status === 0) {
    answer.head += part.toString('latin1');
    const end = answer.head.indexOf('\r\n\r\n');
    if (end === -1) return false;
    rest = part.subarray(part.length - (answer.head.length - end - 4));
    answer.head = answer.head.slice(0, end);
    answer.status = Number(answer.head.slice(9, 12));
    const length = /\r\ncontent-length: (\d+)/i.exec(answer.head)?.[1];
    answer.length = length === undefined ? -1 : Number(length);
  }
  answer.got += rest.length;
  const last = rest.length > TAIL_BYTES ? rest.subarray(rest.length - TAIL_BYTES) : rest;
  answer.tail = (answer.tail + last.toString('latin1')).slice(-TAIL_BYTES);
  if (answer.length >= 0) return answer.got >= answer.length;
  return answer.tail.endsWith('\r\n\r\n') && /(^|\r\n)0\r\n([\w-]+: [^\r\n]*\r\n)*\r\n$/.test(answer.tail);
}
