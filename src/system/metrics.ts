// sys/metrics: what the process counts, as JSON or for Prometheus. It belongs to the whole server: mounts of all namespaces are named in it.
import type { Found } from '../sdk/dispatch.ts'
import { type Operation, path, type Reply, type RequestFacts, str } from '../sdk/index.ts'
import { inRoot } from './in-root.ts'

/** Prints the metrics; `format` "" lets the Accept header choose. */
export type MetricsPrinter = (
  format: string,
  accept: string,
) => { readonly status: number; readonly body: string; readonly contentType: string }

const input = { format: str('`prometheus`, or nothing for JSON.') }
const at = path('metrics', {}, 'Metrics of this process.')
const summary = 'Read the metrics.'

const replyOf = (print: MetricsPrinter, format: string | undefined, { accept }: RequestFacts): Reply => {
  const { status, ...raw } = print(format ?? '', accept ?? '')
  return { status, raw }
}

/** The operation for those whose policies let them read `sys/metrics`. */
export const metricsOperations = (print: MetricsPrinter): Operation[] => [
  at.read({
    summary,
    description: 'JSON in the form Vault has, or the text format of Prometheus. On some listeners no token is needed.',
    input,
    run({ format }, context) {
      inRoot(context)
      return replyOf(print, format, context.request)
    },
  }),
]

/** The same without a token, also while sealed, for listeners with `unauthenticated_metrics_access`. */
export const openMetrics = (print: MetricsPrinter): Found => ({
  operation: at.lifecycle('read', { summary, input, run: ({ format }, request) => replyOf(print, format, request) }),
  params: {},
})
