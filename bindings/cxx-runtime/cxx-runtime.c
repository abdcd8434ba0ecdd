/*
 * The functions of the C++ library that koffi.node uses, and no others.
 *
 * A minimal host has the C library and libgcc_s, which comes with it, but no libstdc++. Nothing else of runts needs libstdc++, but without it
 * koffi.node can't be loaded. This library has the same soname, so the dynamic linker takes it for the one that koffi.node asks for, as it
 * is loaded already. Names and versions are those of the Itanium C++ ABI and of libstdc++'s stable ABI (versions.map);
 * scripts/build/product.mjs compares them with the symbols that koffi.node needs.
 *
 * koffi is compiled without exceptions. So the process ends if libstdc++ throws one, and likewise here.
 */
typedef unsigned long size_t;

void *malloc(size_t size);
void *aligned_alloc(size_t alignment, size_t size);
void free(void *address);
void abort(void) __attribute__((noreturn));
int pthread_cond_signal(void *condition);
int pthread_cond_wait(void *condition, void *mutex);

/* operator new(size_t), operator new[](size_t): allocate at least one byte, never return null */
void *_Znwm(size_t size)
{
	void *address = malloc(size ? size : 1);
	if (!address) abort();
	return address;
}

void *_Znam(size_t size) { return _Znwm(size); }

/* operator new(size_t, std::align_val_t): aligned_alloc(3) takes only multiples of the alignment */
void *_ZnwmSt11align_val_t(size_t size, size_t alignment)
{
	size_t rounded = ((size ? size : 1) + alignment - 1) & ~(alignment - 1);
	void *address = aligned_alloc(alignment, rounded);
	if (!address) abort();
	return address;
}

/* operator delete(void *, size_t), operator delete[](void *) */
void _ZdlPvm(void *address, size_t size) { (void)size; free(address); }
void _ZdaPv(void *address) { free(address); }

/*
 * Guards of static local variables, Itanium C++ ABI 3.3.3. The first byte is set once the variable is initialised, the second one while a
 * thread initialises it. Other threads spin meanwhile, which is rare and short.
 */
int __cxa_guard_acquire(unsigned char *guard)
{
	for (;;) {
		if (__atomic_load_n(guard, __ATOMIC_ACQUIRE)) return 0;
		unsigned char free_guard = 0;
		if (__atomic_compare_exchange_n(guard + 1, &free_guard, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			if (!__atomic_load_n(guard, __ATOMIC_ACQUIRE)) return 1;
			__atomic_store_n(guard + 1, 0, __ATOMIC_RELEASE);
			return 0;
		}
	}
}

void __cxa_guard_release(unsigned char *guard)
{
	__atomic_store_n(guard, 1, __ATOMIC_RELEASE);
	__atomic_store_n(guard + 1, 0, __ATOMIC_RELEASE);
}

/*
 * std::condition_variable is a pthread_cond_t, which begins as zeros (48 bytes on both architectures); std::unique_lock<std::mutex>
 * begins with a pointer to the mutex, which is a pthread_mutex_t.
 */
void _ZNSt18condition_variableC1Ev(size_t *self)
{
	for (int i = 0; i < 6; i++) self[i] = 0;
}

void _ZNSt18condition_variableD1Ev(void *self) { (void)self; }
void _ZNSt18condition_variable10notify_oneEv(void *self) { pthread_cond_signal(self); }
void _ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE(void *self, void **lock) { pthread_cond_wait(self, *lock); }

/* std::call_once: the caller puts its function here, then passes __once_proxy to pthread_once(3) */
__thread void *_ZSt15__once_callable;
__thread void (*_ZSt11__once_call)(void);
void __once_proxy(void) { _ZSt11__once_call(); }

/* std::thread::_State::~_State(), which has nothing to destroy */
void _ZNSt6thread6_StateD2Ev(void *self) { (void)self; }

/* std::__throw_bad_alloc and its like */
void _ZSt17__throw_bad_allocv(void) { abort(); }
void _ZSt19__throw_logic_errorPKc(const char *what) { (void)what; abort(); }
void _ZSt20__throw_length_errorPKc(const char *what) { (void)what; abort(); }
void _ZSt20__throw_system_errori(int error) { (void)error; abort(); }
void _ZSt25__throw_bad_function_callv(void) { abort(); }

/* process.dlopen() only loads modules of Node-API, so this is one, with no exports of its own. */
void *napi_register_module_v1(void *env, void *exports) { (void)env; return exports; }
