#!/bin/sh
# What unit tests run in place of `weir`; what it does, the name says by which it is called.
case "${0##*/}" in
real)
	# The tests' own program, in the test that is the child; its answer goes around the test
	# runner's own words.
	WEIR_TEST_CHILD="$2 $3 $4" exec "/proc/$PPID/exe" --exact \
		sandbox::compile::tests::the_child_that_the_others_start --nocapture 3>&1 >/dev/null
	;;
sleeps) exec sleep 600 ;;
spins) ulimit -S -t 1 && while :; do :; done ;;
closes-and-sleeps)
	exec >&-
	exec sleep 600
	;;
floods) exec cat /dev/zero ;;
floods-stderr)
	head -c 1000000 /dev/zero | tr '\0' x >&2
	exit 101
	;;
fails)
	printf 'panicked:\n\033[1mno way\n' >&2
	exit 101
	;;
kills-itself) kill -SEGV $$ ;;
takes-memory)
	echo 'memory allocation of 4096 bytes failed' >&2
	kill -ABRT $$
	;;
greets) echo 'hello from another program' ;;
is-foreign) printf 'weircode%064d' 0 ;;
says-nothing) ;;
esac
