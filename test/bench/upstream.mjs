// The canned upstream for streams, and for whole answers where nginx is missing. Argument: port.
// Answers are bytes made beforehand, every event an HTTP chunk of its own, as providers send them: so the upstream costs next to
// nothing, and a proxy has to take up every event singly.
import { createServer } from 'node:net';
import { deltaEvent, FIRST_EVENT, JSON_ANSWER, LAST_EVENTS, PACE_MS, PATHS, sseAnswer } from './canned.mjs';

const HEAD_END = '\r\n\r\n';
const STREAM_HEAD = `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked${HEAD_END}`;
const LAST_CHUNK = `0${HEAD_END}`;
/** Some 12 KiB in one write, so that an endless stream costs its readers and not its writer. */
const ENDLESS = Buffer.from(chunk(deltaEvent(' word')).repeat(64));
/** Events of a `first` stream after its first. */
const FEW = Buffer.from(`${chunk(deltaEvent(' word'))}${chunk(LAST_EVENTS)}${LAST_CHUNK}`);
const SSE = Buffer.from(`${STREAM_HEAD}${sseAnswer().split(/(?<=\n\n)/).map(chunk).join('')}${LAST_CHUNK}`);
const WHOLE = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(JSON_ANSWER)}${HEAD_END}${JSON_ANSWER}`);

/** What a path does with its connection. */
const ANSWERS = {
  [PATHS.json]: (socket) => socket.write(WHOLE),
  [PATHS.big]: (socket) => socket.write(WHOLE),
  [PATHS.sse]: (socket) => socket.write(SSE),
  // A word too: a gateway may wait for one before it commits itself to a provider.
  [PATHS.idle]: (socket) => socket.write(`${STREAM_HEAD}${chunk(FIRST_EVENT)}${chunk(deltaEvent(' word'))}`),
  [PATHS.paced]: pace,
  [PATHS.first]: (socket) => void setTimeout(() => socket.write(`${STREAM_HEAD}${stamped()}`) && socket.write(FEW), PACE_MS),
  [PATHS.endless]: flood,
};

/** An event every 20 ms until the client leaves, each with the moment of its sending in it. */
function pace(socket) {
  socket.write(`${STREAM_HEAD}${chunk(FIRST_EVENT)}`);
  const timer = setInterval(() => socket.write(stamped()), PACE_MS);
  socket.on('close', () => clearInterval(timer));
}

/** As fast as it is taken. */
function flood(socket) {
  socket.write(STREAM_HEAD);
  const more = () => {
    while (!socket.destroyed && socket.write(ENDLESS));
  };
  socket.on('drain', more);
  more();
}

/** The clock is the machine's own, the same in every process of it. */
function stamped() {
  return chunk(deltaEvent(` @${process.hrtime.bigint() / 1000n}@`));
}

function chunk(part) {
  return `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`;
}

const server = createServer({ noDelay: true }, (socket) => {
  let read = '';
  socket.on('data', (part) => {
    read += part.toString('latin1');
    for (let end = endOf(read); end !== -1; end = endOf(read)) {
      const path = read.slice(0, read.indexOf('\r\n')).split(' ')[1];
      read = read.slice(end);
      const answer = ANSWERS[path];
      if (answer === undefined) socket.write('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
      else answer(socket);
    }
  });
  // A client that hangs up in mid-stream is part of the load.
  socket.on('error', () => socket.destroy());
});
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });

/** Where the first request in this text ends, or -1 while it is not whole. */
function endOf(text) {
  const head = text.indexOf(HEAD_END);
  if (head === -1) return -1;
  const fields = text.slice(0, head);
  if (/\r\ntransfer-encoding:/i.test(fields)) {
    const end = text.indexOf(`\r\n0${HEAD_END}`, head);
    return end === -1 ? -1 : end + 7;
  }
  const end = head + HEAD_END.length + Number(/\r\ncontent-length: *(\d+)/i.exec(fields)?.[1] ?? 0);
  return text.length < end ? -1 : end;
}
