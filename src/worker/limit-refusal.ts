/** What a client is told when a limit on requests in flight has no place for it: 429, and which limit of what. */
import { PointsmanError } from '../core/errors.js';
import { FailureCode } from '../native/contract.js';

/** Seconds a client is asked to wait: places become free all the time. */
const RETRY_AFTER_S = 1;

const DEPLOYMENT = 'limits.max_in_flight of its deployment';
const ENTITY = 'limits.from_workload of its deployment with its workload size';
const FULL = 'and limits.queue requests wait already';
const LATE = 'and no place became free within limits.queue_ms';

const REASONS: ReadonlyMap<number, string> = new Map([
  [FailureCode.DEPLOYMENT_LIMIT, DEPLOYMENT],
  [FailureCode.DEPLOYMENT_QUEUE_FULL, `${DEPLOYMENT}, ${FULL}`],
  [FailureCode.DEPLOYMENT_QUEUE_TIMEOUT, `${DEPLOYMENT}, ${LATE}`],
  [FailureCode.ENTITY_LIMIT, ENTITY],
  [FailureCode.ENTITY_QUEUE_FULL, `${ENTITY}, ${FULL}`],
  [FailureCode.ENTITY_QUEUE_TIMEOUT, `${ENTITY}, ${LATE}`],
]);

/** Null for a failure of another kind. */
export function limitRefusal(failure: number, servedEntity: string): PointsmanError | null {
  const reason = REASONS.get(failure);
  if (reason === undefined) return null;
  return new PointsmanError(
    'RESOURCE_EXHAUSTED',
    `Served entity ${servedEntity} has as many requests in flight as it may have: ${reason}`,
    { retryAfterS: RETRY_AFTER_S },
  );
}
