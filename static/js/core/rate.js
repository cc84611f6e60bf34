/* rate.js: rateLimited(run, milliseconds = 250) -> function that runs at once, then at most once per interval, always with the last call.
   Background tabs are not starved: the timer only postpones, it never drops. */
export function rateLimited(run, milliseconds = 250) {
  let last = -Infinity;
  let timer = null;
  return () => {
    if (timer !== null) return;
    const wait = last + milliseconds - performance.now();
    const now = () => {
      timer = null;
      last = performance.now();
      run();
    };
    if (wait <= 0) now();
    else timer = setTimeout(now, wait);
  };
}
