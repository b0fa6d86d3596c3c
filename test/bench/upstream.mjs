// The canned upstream for streams, and for whole answers where nginx is missing. Argument: port.
// Each answer is one write of bytes made beforehand, every event an HTTP chunk of its own, as providers send them:
// so the upstream costs next to nothing, and a proxy has to take up every event singly.
import { createServer } from 'node:net';
import { JSON_ANSWER, PATHS, sseAnswer } from './canned.mjs';

const HEAD_END = '\r\n\r\n';
const ANSWERS = { [PATHS.json]: whole(JSON_ANSWER), [PATHS.sse]: chunked(sseAnswer().split(/(?<=\n\n)/)) };

createServer({ noDelay: true }, (socket) => {
  let read = '';
  socket.on('data', (part) => {
    read += part.toString('latin1');
    for (let end = endOf(read); end !== -1; end = endOf(read)) {
      const path = read.slice(0, read.indexOf('\r\n')).split(' ')[1];
      read = read.slice(end);
      socket.write(ANSWERS[path] ?? 'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
    }
  });
  // A client that hangs up in mid-stream is part of the load.
  socket.on('error', () => socket.destroy());
}).listen(Number(process.argv[2]), '127.0.0.1');

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

function whole(text) {
  return Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}${HEAD_END}${text}`);
}

function chunked(parts) {
  const chunks = parts.map((part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`);
  return Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked${HEAD_END}${chunks.join('')}0${HEAD_END}`);
}
