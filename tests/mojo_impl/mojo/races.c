/* Runs races.mojo under ThreadSanitizer: all tests, or with an argument the race on purpose.
 *
 * Mojo's run-time library maps memory where this sanitizer allows none, and ends the process before
 * `main`. So what the compiled code asks of that library is answered by runtime.c in its place. */

int run_threads(void);
int run_race(void);

int main(int count, char **arguments) {
  (void)arguments;
  return count > 1 ? run_race() : run_threads();
}
