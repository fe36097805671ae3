// sys/tools: random bytes and hashes for clients that cannot make their own. Nothing is stored, nothing that comes in is kept.
import { Buffer } from 'node:buffer'
import { createHash, randomBytes } from 'node:crypto'
import { type Context, int, invalid, type Operation, path, str } from '../sdk/index.ts'

/** Bytes one request may ask for. */
const randomBytesMax = 128 * 1024

const hashes: Readonly<Record<string, string>> = {
  'sha2-224': 'sha224',
  'sha2-256': 'sha256',
  'sha2-384': 'sha384',
  'sha2-512': 'sha512',
  'sha3-224': 'sha3-224',
  'sha3-256': 'sha3-256',
  'sha3-384': 'sha3-384',
  'sha3-512': 'sha3-512',
}

const formats = ['hex', 'base64'] as const
const sources = ['platform', 'seal', 'all']

const formatField = () => str('How the bytes are written: hex or base64.').oneOf(formats)
const encode = (bytes: Buffer, format: string): string => bytes.toString(format === 'hex' ? 'hex' : 'base64')

/** Decodes standard base64 with its padding; throws `invalid` that names the field. */
export function fromBase64(text: string, field: string): Buffer {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text))
    throw invalid(`field "${field}" is not base64`)
  return Buffer.from(text, 'base64')
}

interface RandomInput {
  readonly bytes: number
  readonly format: string
  readonly source: string
}

function random({ bytes, format, source }: RandomInput, context: Context) {
  if (!sources.includes(source)) throw invalid(`unsupported entropy source: must be one of ${sources.join(', ')}`)
  if (bytes < 1) throw invalid('"bytes" cannot be less than 1')
  if (bytes > randomBytesMax) throw invalid(`"bytes" cannot be more than ${randomBytesMax}`)
  if (source === 'seal') context.warn('the seal gives no entropy of its own: the platform gave it')
  return { data: { random_bytes: encode(randomBytes(bytes), format) } }
}

/** A number of bytes from the path; throws `invalid`. */
function bytesOf(text: string): number {
  if (!/^[+-]?\d{1,15}$/.test(text)) throw invalid('error parsing url-set byte count')
  return Number(text)
}

const randomInput = {
  bytes: int('How many bytes.').default(32),
  format: formatField().default('base64'),
}
const randomOutput = { random_bytes: str('The random bytes.').sensitive() }
const sourceField = str('Where the randomness is from: platform, seal or all.')
const randomSummary = 'Generate random bytes.'

const randomDefault = path('tools/random', {}, 'Random bytes.').compute({
  summary: randomSummary,
  input: { ...randomInput, source: sourceField.default('platform') },
  output: randomOutput,
  run: (input, context) => random(input, context),
})

const randomFrom = path(
  'tools/random/{source}',
  { source: str('How many bytes, or where the randomness is from: platform, seal or all.').required() },
  'Random bytes, their number or source in the path.',
).compute({
  summary: randomSummary,
  input: randomInput,
  output: randomOutput,
  run: (input, context) =>
    sources.includes(input.source)
      ? random(input, context)
      : random({ ...input, source: 'platform', bytes: bytesOf(input.source) }, context),
})

const randomFromBytes = path(
  'tools/random/{source}/{urlbytes}',
  { source: sourceField.required(), urlbytes: str('How many bytes.').required() },
  'Random bytes, their source and number in the path.',
).compute({
  summary: randomSummary,
  input: { format: randomInput.format },
  output: randomOutput,
  run: ({ source, urlbytes, format }, context) => random({ source, format, bytes: bytesOf(urlbytes) }, context),
})

interface HashInput {
  readonly input: string
  readonly algorithm: string
  readonly format: string
}

function hash({ input, algorithm, format }: HashInput) {
  const name = Object.hasOwn(hashes, algorithm) ? hashes[algorithm] : undefined
  if (!name) throw invalid(`unsupported algorithm: must be one of ${Object.keys(hashes).join(', ')}`)
  return { data: { sum: encode(createHash(name).update(fromBase64(input, 'input')).digest(), format) } }
}

const hashInput = {
  input: str('What to hash, in base64.').default('').sensitive(),
  algorithm: str('Which hash: sha2-224 to sha2-512, sha3-224 to sha3-512.').default('sha2-256'),
  format: formatField().default('hex'),
}
const hashOutput = { sum: str('The hash.') }
const hashSummary = 'Hash data.'

const hashDefault = path('tools/hash', {}, 'Hashes of data.').compute({
  summary: hashSummary,
  input: hashInput,
  output: hashOutput,
  run: (input) => hash(input),
})

const hashWith = path(
  'tools/hash/{urlalgorithm}',
  { urlalgorithm: str('Which hash; it beats the one in the body.').required() },
  'Hashes of data, the algorithm in the path.',
).compute({
  summary: hashSummary,
  input: hashInput,
  output: hashOutput,
  run: ({ input, format, urlalgorithm }) => hash({ input, format, algorithm: urlalgorithm }),
})

/** Operations of `sys/tools`; core adds them to the `sys` engine. */
export const toolsOperations: readonly Operation[] = [randomDefault, randomFrom, randomFromBytes, hashDefault, hashWith]
