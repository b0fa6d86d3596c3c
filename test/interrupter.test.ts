import t from 'tap';
import { Interrupter } from '../src/gateway/interrupter.ts';

t.test('a call is interrupted once, and each listener hears it once, in order', async (t) => {
  const heard: string[] = [];
  const one = new Interrupter();
  const first = () => heard.push('first');
  const second = { handleEvent: () => heard.push('second') };
  const gone = () => heard.push('gone');
  for (const listener of [first, second, gone, first]) one.addEventListener('abort', listener);
  one.removeEventListener('abort', gone);
  t.equal(one.aborted, false);
  one.abort('why');
  one.abort('another');
  t.strictSame(heard, ['first', 'second'], 'a listener that was added twice counts once, as with an AbortSignal');
  t.equal(one.aborted, true);
  t.equal(one.reason, 'why', 'the first reason stays');
});

t.test('whoever goes leaves the others in their order', async (t) => {
  const heard: string[] = [];
  const one = new Interrupter();
  const [first, second, third] = ['first', 'second', 'third'].map((name) => () => heard.push(name));
  if (first === undefined || second === undefined || third === undefined) throw new Error('three were made');
  for (const listener of [first, second, third]) one.addEventListener('abort', listener);
  one.removeEventListener('abort', first);
  one.removeEventListener('abort', first);
  one.addEventListener('abort', third);
  one.addEventListener('abort', first);
  one.abort();
  t.strictSame(heard, ['second', 'third', 'first']);
});

t.test('who listens afterwards hears nothing, as with an AbortSignal', async (t) => {
  const one = new Interrupter();
  one.abort();
  one.addEventListener('abort', () => t.fail('too late'));
  one.abort();
  t.equal(one.aborted, true);
});

t.test('a listener that goes while others are told is heard all the same, and one that comes is not', async (t) => {
  const heard: string[] = [];
  const one = new Interrupter();
  const last = () => heard.push('last');
  one.addEventListener('abort', () => {
    one.removeEventListener('abort', last);
    one.addEventListener('abort', () => heard.push('late'));
  });
  one.addEventListener('abort', last);
  one.abort();
  t.strictSame(heard, ['last']);
});
