/** Heads that are written oddly: request lines, names, values, line ends. The hidden request stands in the body. */
import { shown, type Gadget, type GadgetSetting } from './smuggling-kit.js';

/** PATH stands for the path of the endpoint. */
const REQUEST_LINES_REFUSED = [
  'POST  PATH HTTP/1.1|POST PATH  HTTP/1.1|POST\tPATH HTTP/1.1| POST PATH HTTP/1.1|POST PATH HTTP/1.1 ',
  'POST PATH HTTP/1.1\t|POST PATH|POST PATH |POST|POST PATH HTTP/1.1 x|POST PATH HTTP/1.1\r',
  'POST PATH http/1.1|POST PATH HTTP/1|POST PATH HTTP/1.|POST PATH HTTP/11|POST PATH HTTP/1.10',
  'POST PATH HTTP/01.1|POST PATH HTTP/0.9|POST PATH HTTP/2.0|POST PATH HTTP/1,1|POST PATH XTTP/1.1',
  'POST PATH HTTP/1.1,HTTP/1.1|POST PATH HTTP /1.1|POST PATH HTTP/-1.1|P OST PATH HTTP/1.1',
  'POST:PATH HTTP/1.1|PO(ST PATH HTTP/1.1|POST PATH#x HTTP/1.1|POST PATH\0 HTTP/1.1',
  'POST PATH\x7f HTTP/1.1|POST PATH\xe9 HTTP/1.1|POST PATH?a b HTTP/1.1|POST * HTTP/1.1|POST x HTTP/1.1',
  'POST http://u@aPATH HTTP/1.1|POST ftp://aPATH HTTP/1.1|POST http://PATH HTTP/1.1|POST http:PATH HTTP/1.1',
  'POST http://a:99999PATH HTTP/1.1|POST http://a bPATH HTTP/1.1|POST http:aPATH HTTP/1.1',
  '\tPOST PATH HTTP/1.1|CONNECT a:80 HTTP/1.1|\0POST PATH HTTP/1.1|\nPOST PATH HTTP/1.1',
  '\rPOST PATH HTTP/1.1|\r\n \r\nPOST PATH HTTP/1.1|\r\n\nPOST PATH HTTP/1.1',
].flatMap((words) => words.split('|'));

const REQUEST_LINES_FINE = [
  'POST http://aPATH HTTP/1.1|POST HTTP://a:80PATH HTTP/1.1|POST https://router.testPATH HTTP/1.1',
  'POST http://[::1]PATH HTTP/1.1|POST PATH?a=b HTTP/1.1|POST PATH? HTTP/1.1|POST PATH HTTP/1.0',
  'POST PATH HTTP/1.2|\r\nPOST PATH HTTP/1.1|GET PATH HTTP/1.1|HEAD PATH HTTP/1.1|PUT PATH HTTP/1.1',
  'DELETE PATH HTTP/1.1|OPTIONS PATH HTTP/1.1|QUERY PATH HTTP/1.1|TRACE PATH HTTP/1.1|POST / HTTP/1.1',
  'GET /healthz HTTP/1.1|POST /healthz HTTP/1.1|OPTIONS * HTTP/1.1|get PATH HTTP/1.1',
].flatMap((words) => words.split('|'));

const FIELDS_REFUSED = [
  ': y| : y|X : y|X|X y: z|[X]: y|(X): y|{X}: y|X/: y|X@: y|X,: y|X;: y|X=: y|X?: y|X\\: y|X"Y: z',
  ' X: y|\tX: y|X: a\r\n b|X: a\r\n\tb|X: a\n|X: a\rb|X: \0|X: a\x01|X: a\x7f|X: a\x0bb|\xe9: y',
  'Host: b|host:router|HOST: |Host : b| Host: b|Authorization: Basic eDp5|X: a\r|\r|\n|X\n: y|X\r: y',
  'X:\n y|Host: router\r\n ,b|Content-Type: a\n\nPOST / HTTP/1.1',
].flatMap((words) => words.split('|'));

const FIELDS_FINE = [
  'Connection: content-length|Connection: host, authorization|Connection: transfer-encoding',
  'Connection: close|Connection: foo, close|X_Y: 1|TE: chunked|Trailer: Content-Length',
  'Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__',
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13',
  'X-HTTP-Method-Override: GET|Content_Length: 3|Content-Length_: 3|X-Content-Length: 3',
  'Transfer_Encoding: chunked|Proxy-Connection: close|Keep-Alive: timeout=1|Content-Encoding: chunked',
  'Expect: 100-continue|Expect: 100-Continue|Expect: 200-ok|Expect:|X: a\tb|X:|X: \xe9|Max-Forwards: 0',
].flatMap((words) => words.split('|'));

const LINE_ENDS_REFUSED = ['\n', '\r', '\n\r', '\r\r\n', '\0\r\n', ' \n', '\x0b', '\x85'];
const HEAD_ENDS_REFUSED = '\n\n|\r\n\n|\n\r\n|\r\n\r\r\n|\r\n \r\n|\r\n\r|\r\n\0\r\n'.split('|');
const EMPTY_LINES_REFUSED = '\r\n'.repeat(9);

export function headGadgets({ path, hidden, auth }: GadgetSetting): Gadget[] {
  const body = `A=1${hidden}`;
  const length = `Content-Length: ${String(body.length)}`;
  const start = `POST ${path} HTTP/1.1`;
  const host = 'Host: router';
  const message = (lines: readonly string[], ends = '\r\n'): string =>
    `${lines.join(ends)}${ends}${ends}${body}`;
  const withRequestLine = (line: string): string =>
    message([line.replace('PATH', path), host, auth, length]);
  const withField = (line: string): string => message([start, host, line, auth, length]);
  const refused = (title: string, bytes: string): Gadget => ({ title, bytes, body: null });
  const fine = (title: string, bytes: string): Gadget => ({ title, bytes, body });
  return [
    refused('empty lines', EMPTY_LINES_REFUSED + withRequestLine('POST PATH HTTP/1.1')),
    refused('two credentials', withField(auth)),
    ...REQUEST_LINES_REFUSED.map((line) => refused(shown(line), withRequestLine(line))),
    ...REQUEST_LINES_FINE.map((line) => fine(shown(line), withRequestLine(line))),
    ...FIELDS_REFUSED.map((line) => refused(`field ${shown(line)}`, withField(line))),
    ...FIELDS_FINE.map((line) => fine(`field ${shown(line)}`, withField(line))),
    ...LINE_ENDS_REFUSED.map((end) =>
      refused(`lines end with ${shown(end)}`, message([start, host, auth, length], end)),
    ),
    ...HEAD_ENDS_REFUSED.map((end) =>
      refused(
        `the head ends with ${shown(end)}`,
        `${[start, host, auth, length].join('\r\n')}${end}${body}`,
      ),
    ),
  ];
}
