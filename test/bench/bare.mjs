// The least that a Node proxy can do: node:http in, undici out, nothing read. The bar that findtoken is measured by.
// Arguments: port, the upstreams' origins for whole answers and for streams.
import { createServer } from 'node:http';
import { Pool } from 'undici';

const [port, ...origins] = process.argv.slice(2);
/** Paths of whole answers; every other one is a stream. */
const WHOLE = /^\/(json|big)\//;
const [json, sse] = origins.map((origin) => new Pool(origin, { keepAliveTimeout: 600_000, pipelining: 1 }));

const server = createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const headers = { 'content-type': 'application/json', 'authorization': request.headers.authorization ?? '' };
    (WHOLE.test(request.url) ? json : sse).dispatch({ method: 'POST', path: request.url, headers, body: Buffer.concat(parts) }, relay(response));
  });
});
server.keepAliveTimeout = 600_000;
server.listen(Number(port), '127.0.0.1');

/** A whole answer leaves in one piece, a stream as it comes; a slow client holds the upstream back. */
function relay(response) {
  let whole;
  let left = false;
  return {
    onConnect(abort) {
      response.on('close', () => {
        if (!left) abort();
      });
    },
    onHeaders(status, rawHeaders, resume) {
      const headers = {};
      for (let at = 0; at < rawHeaders.length; at += 2) {
        const name = rawHeaders[at].toString('latin1').toLowerCase();
        if (name === 'content-type' || name === 'content-length') headers[name] = rawHeaders[at + 1].toString('latin1');
      }
      if (headers['content-type'] === 'text/event-stream') {
        delete headers['content-length'];
        response.on('drain', resume);
      } else whole = [];
      response.writeHead(status, headers);
      return true;
    },
    onData(part) {
      if (whole === undefined) return response.write(part);
      whole.push(part);
      return true;
    },
    onComplete() {
      left = true;
      if (whole === undefined) response.end();
      else response.end(whole.length === 1 ? whole[0] : Buffer.concat(whole));
    },
    onError(error) {
      left = true;
      if (!response.headersSent) response.writeHead(502);
      response.end(String(error.message));
    },
  };
}
