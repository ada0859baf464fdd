/**
 * A feature lookup in the manner of a feature spec: rows of a table found by primary key, and one
 * feature computed on demand from context columns of the request.
 */
import { readFileSync } from 'node:fs';
import { badRequest, describe } from '../protocol.mjs';

const EARTH_RADIUS_KM = 6371.0088;
const COLUMNS = ['station_id', 'lat', 'lon'];

/** @typedef {{ station_id: number, lat: number, lon: number, height_m: number }} Station */

/** @returns {import('./index.mjs').Model} */
export function createFeaturesModel() {
  const file = readFileSync(new URL('../features.json', import.meta.url), 'utf8');
  const { stations } = /** @type {{ stations: Station[] }} */ (JSON.parse(file));
  const stationsById = new Map(stations.map((station) => [station.station_id, station]));
  return {
    name: 'features',
    columns: COLUMNS,
    answerKey: 'outputs',
    rowKey: 'output',
    params: [],
    score(table) {
      return table.rows.map(([id, lat, lon], row) => {
        const key = readKey(id, () => table.placeOf(row, 0));
        const latitude = readDegrees(lat, 90, () => table.placeOf(row, 1));
        const longitude = readDegrees(lon, 180, () => table.placeOf(row, 2));
        const station = stationsById.get(key);
        if (station === undefined) return { station_id: key, height_m: null, distance_km: null };
        const distance =
          latitude === null || longitude === null
            ? null
            : distanceKm(latitude, longitude, station.lat, station.lon);
        return {
          station_id: key,
          height_m: station.height_m,
          distance_km: distance === null ? null : Math.round(distance * 10) / 10,
        };
      });
    },
  };
}

/**
 * Great-circle distance by the haversine formula; arguments in degrees.
 * @param {number} latA
 * @param {number} lonA
 * @param {number} latB
 * @param {number} lonB
 */
function distanceKm(latA, lonA, latB, lonB) {
  const radians = Math.PI / 180;
  const halfLat = Math.sin(((latB - latA) * radians) / 2);
  const halfLon = Math.sin(((lonB - lonA) * radians) / 2);
  const chord = halfLat ** 2 + Math.cos(latA * radians) * Math.cos(latB * radians) * halfLon ** 2;
  // Rounding can carry the chord of opposite points past 1, where asin() has no value.
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(Math.min(1, chord)));
}

/**
 * @param {unknown} cell
 * @param {() => string} placeOf
 */
function readKey(cell, placeOf) {
  if (cell === undefined) throw badRequest(placeOf(), 'is missing');
  if (typeof cell !== 'number' || !Number.isSafeInteger(cell)) {
    throw badRequest(placeOf(), `must be an integer, not ${describe(cell)}`);
  }
  return cell;
}

/**
 * A context column: absent and null both mean that the caller does not know.
 * @param {unknown} cell
 * @param {number} limit greatest absolute value
 * @param {() => string} placeOf
 */
function readDegrees(cell, limit, placeOf) {
  if (cell === undefined || cell === null) return null;
  if (typeof cell !== 'number' || Math.abs(cell) > limit) {
    throw badRequest(
      placeOf(),
      `must be a number of degrees from -${limit} to ${limit}, not ${describe(cell)}`,
    );
  }
  return cell;
}
