/** Returns a duration for people: `12 ms`, `3.4 s`, `2 min 5 s`. */
export function formatDuration(seconds: number): string {
  if (seconds < 1) {
    return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  }
  if (seconds < 60) {
    return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  }
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** Returns the time of day for today, else day and time, in the browser's language. */
export function formatTime(iso: string, now: Date): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) {
    return iso;
  }
  const isToday = time.toDateString() === now.toDateString();
  return new Intl.DateTimeFormat(
    undefined,
    isToday
      ? { hour: '2-digit', minute: '2-digit', second: '2-digit' }
      : { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' }
  ).format(time);
}

/** Returns the last part of a path. */
export function baseName(path: string): string {
  return path.split('/').filter(Boolean).at(-1) ?? path;
}
