/* Stands in for Mojo's run-time library under a sanitizer, so that the sanitizer sees all memory.
 *
 * Beside the memory, which the extension under AddressSanitizer takes from here too, only what
 * races.mojo asks for; a report of a failed assertion is lost, its signal is not. */
#include <stdlib.h>
#include <string.h>

void *KGEN_CompilerRT_AlignedAlloc(size_t line, size_t bytes) {
  return aligned_alloc(line, (bytes + line - 1) / line * line);
}

void KGEN_CompilerRT_AlignedFree(void *memory) { free(memory); }

#ifdef __SANITIZE_THREAD__
/* Newer compilers call these, which older sanitizers lack; what they call is watched. */
void *__tsan_memset(void *to, int value, size_t bytes) { return memset(to, value, bytes); }
void *__tsan_memcpy(void *to, const void *from, size_t bytes) { return memcpy(to, from, bytes); }
void *__tsan_memmove(void *to, const void *from, size_t bytes) { return memmove(to, from, bytes); }

/* Asked for by one thread only. */
void *KGEN_CompilerRT_GetOrCreateGlobal(const char *name, size_t length, void *(*make)(void)) {
  static struct { const char *name; size_t length; void *value; } made[64];
  size_t place = 0;
  while (made[place].name &&
         (made[place].length != length || memcmp(made[place].name, name, length)))
    if (++place == 64) abort();
  if (!made[place].name) {
    made[place].value = make();
    made[place].name = name;
    made[place].length = length;
  }
  return made[place].value;
}

size_t KGEN_CompilerRT_GetStackTrace(void) { return 0; }
int KGEN_CompilerRT_fprintf(void) { return 0; }
#endif
