// The measure of all figures: a bare `node:http` server that answers every request with one fixed JSON body. Argument: port.
import http from 'node:http'

const body = JSON.stringify({ request_id: '00000000-0000-0000-0000-000000000000', data: { password: 'x'.repeat(32) } })
const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
http
  .createServer((_request, response) => {
    response.writeHead(200, headers)
    response.end(body)
  })
  .listen(Number(process.argv[2]), '127.0.0.1')
