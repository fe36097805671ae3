// The health check of the image: asks the server in its own container. COFFER_HEALTH_URL says where, if not at the default address. The certificate is not
// checked: it names the service, and the question does not leave the container.
import { request as http } from 'node:http'
import { request as https } from 'node:https'

const url = new URL(
  process.env.COFFER_HEALTH_URL ?? 'https://127.0.0.1:8200/v1/sys/health?sealedcode=200&uninitcode=200',
)
const ask = url.protocol === 'https:' ? https : http
const asked = ask(url, { timeout: 2500, rejectUnauthorized: false }, (answer) => {
  process.exit(answer.statusCode === 200 ? 0 : 1)
})
asked.on('timeout', () => process.exit(1))
asked.on('error', () => process.exit(1))
asked.end()
