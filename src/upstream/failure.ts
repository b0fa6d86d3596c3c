import type { TransportFailure } from '../wire/index.ts';

/** OpenSSL's and Node's words for a certificate or a handshake that is not acceptable. */
const TLS_CODES = /^(ERR_TLS_|ERR_SSL_|EPROTO$|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH$|INVALID_CA$|INVALID_PURPOSE$|PATH_LENGTH_EXCEEDED$|ERROR_IN_CERT_)/;
const DNS_CODES = /^(ENOTFOUND|EAI_[A-Z]+|ENODATA|ESERVFAIL)$/;

/**
 * Names what the network did, from an error's code alone: messages may quote a header, and with it a key.
 * `sent` is whether the request was handed to a connected socket. A self-signed certificate before that is `tls`; a reset after it `reset`.
 */
export function failureOf(error: unknown, sent: boolean): TransportFailure {
  const code = codeOf(error);
  if (!sent) {
    if (DNS_CODES.test(code)) return 'dns';
    return TLS_CODES.test(code) ? 'tls' : 'connect';
  }
  if (code === 'UND_ERR_HEADERS_OVERFLOW') return 'too_large';
  // The pool was destroyed under a request: the daemon is going down.
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED') return 'aborted';
  return 'reset';
}

function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}
