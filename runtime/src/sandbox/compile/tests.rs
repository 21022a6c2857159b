//! Real compilers and false ones, each in a real child.

use std::fs::OpenOptions;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Instant;

use super::super::engine::engine_config;
use super::*;

/// The program of the tests, by one of the names that it knows.
pub(in super::super) struct Program {
    folder: tempfile::TempDir,
    name: &'static str,
}

impl Program {
    pub(in super::super) fn new(name: &'static str) -> Self {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sandbox/compile/test-compiler.sh");
        let folder = tempfile::tempdir().expect("a temporary folder");
        symlink(script, folder.path().join(name)).expect("a link");
        Self { folder, name }
    }

    pub(in super::super) fn compiler(&self) -> Compiler {
        let path = self.folder.path().join(self.name);
        Compiler::new(CompilerProgram::Path(path), CompileLimits::default())
    }
}

/// No promise of its own: what `test-compiler.sh real` runs.
#[test]
fn the_child_that_the_others_start() {
    let Ok(arguments) = env::var("WEIR_TEST_CHILD") else {
        return;
    };
    let output = OpenOptions::new().write(true).open("/proc/self/fd/3");
    let arguments = arguments.split(' ').map(Into::into);
    let ended = child::run(
        arguments,
        io::stdin().lock(),
        output.expect("the script's output"),
    );
    match ended {
        Ok(()) => std::process::exit(0),
        Err(failure) => {
            eprintln!("{} {}", failure.message, what_it_runs_with());
            std::process::exit(failure.code.into());
        }
    }
}

fn what_it_runs_with() -> String {
    use rustix::process::{Resource, getpriority_process, getrlimit};
    let limit = |resource| getrlimit(resource).current;
    format!(
        "nice {}, file {:?}, core {:?}, memory {:?}, cpu {:?}",
        getpriority_process(None).expect("its priority"),
        limit(Resource::Fsize),
        limit(Resource::Core),
        limit(Resource::As),
        limit(Resource::Cpu),
    )
}

pub(in super::super) fn engine() -> Engine {
    Engine::new(&engine_config()).expect("an engine")
}

/// A component of one core module with that body.
pub(in super::super) fn module(core: &str) -> Module {
    let bytes = wat::parse_str(format!("(component (core module {core}))"));
    Module::from_bytes("test.wasm", bytes.expect("well formed"), 128 << 20).expect("a component")
}

/// What a compiler answers, with other limits than the default ones.
fn compile(program: &'static str, limit: fn(&mut Compiler), core: &str) -> Result<Code, String> {
    let program = Program::new(program);
    let mut compiler = program.compiler();
    limit(&mut compiler);
    let code = compiler.compile(&engine(), &module(core));
    code.map_err(|error| error.to_string())
}

fn check(program: &'static str, limit: fn(&mut Compiler), core: &str, expected: &str) {
    let error = compile(program, limit, core).err().expect("no code");
    assert!(error.contains(expected), "{program}: {error}");
    assert!(!error.contains(['\n', '\u{1b}']), "{program}: {error}");
}

/// The default limits.
fn usual(_: &mut Compiler) {}

#[test]
fn a_component_is_compiled_in_a_child_and_loaded_here() {
    let code = compile("real", usual, "(func (export \"f\") nop)").expect("it compiles");
    assert!(code.component(&engine()).is_ok());
}

#[test]
fn what_does_not_compile_is_refused_in_the_compilers_words() {
    let wrong = "(func (result i32) i64.const 1)";
    check("real", usual, wrong, "it doesn't compile: ");
    check("real", usual, wrong, "type mismatch");
}

#[test]
fn memory_that_compiling_takes_is_bounded_and_the_default_is_enough_for_a_large_function() {
    // A hundred thousand calls in one function: about 400 MiB while it is compiled.
    let calls = "local.get 0 call $g ".repeat(100_000);
    let core = format!(
        "(func $g (param i32 i32) (result i32) local.get 0)
         (func (export \"f\") (param i32) (result i32) local.get 0 {calls})"
    );
    let expected = "more than 104857600 bytes of memory (sandbox.compile_memory_bytes_max)";
    check(
        "real",
        |compiler| compiler.limits.memory_bytes_max = 100 << 20,
        &core,
        expected,
    );
    assert!(compile("real", usual, &core).is_ok());
}

#[test]
fn the_child_has_the_lowest_priority_and_writes_no_files() {
    // The child of these tests adds what it runs with to what it says.
    let expected = "nice 19, file Some(0), core Some(0), memory Some(1073741824), cpu Some(60)";
    check("real", usual, "(func drop)", expected);
}

#[test]
fn a_compiler_that_does_not_end_is_killed_at_the_deadline() {
    let short = |compiler: &mut Compiler| compiler.limits.time_max = Duration::from_millis(30);
    for program in ["sleeps", "closes-and-sleeps"] {
        let started = Instant::now();
        check(
            program,
            short,
            "",
            "not ended after 0.3 s, 10 times sandbox.compile_timeout",
        );
        assert!(started.elapsed() < Duration::from_secs(60), "{program}");
    }
}

#[test]
fn a_compiler_that_takes_too_much_cpu_time_is_ended() {
    check(
        "spins",
        usual,
        "",
        "more than 60.0 s of CPU time (sandbox.compile_timeout)",
    );
}

#[test]
fn more_code_than_may_be_ends_the_child() {
    let small = |compiler: &mut Compiler| compiler.limits.code_bytes_max = 1_000;
    for program in ["floods", "real"] {
        check(
            program,
            small,
            "",
            "more than 1000 bytes, which is the most",
        );
    }
}

#[test]
fn a_compiler_that_breaks_is_told_by_how_it_ended() {
    let not_ours = "is no compiler of this build of Weir: it answers with something else";
    for (program, expected) in [
        (
            "fails",
            "its compiler failed with exit code 101: panicked: \\u{1b}[1mno way",
        ),
        (
            "floods-stderr",
            "its compiler failed with exit code 101: xxxx",
        ),
        (
            "kills-itself",
            "its compiler was killed by signal 11: it said nothing",
        ),
        ("takes-memory", "more than 1073741824 bytes of memory"),
        ("greets", not_ours),
        ("says-nothing", not_ours),
        (
            "is-foreign",
            "is no compiler of this build of Weir: it compiles for another engine",
        ),
    ] {
        check(program, usual, "", expected);
    }
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let nowhere = |compiler: &mut Compiler| {
        compiler.program = CompilerProgram::Path("/nowhere/weir".into());
    };
    check(
        "real",
        nowhere,
        "",
        "can't run the compiler /nowhere/weir: ",
    );
}

#[test]
fn a_child_whose_arguments_are_not_the_daemons_says_so() {
    for arguments in [&["1", "2"][..], &["1", "2", "x"], &["1", "2", "3", "4"]] {
        let arguments = arguments.iter().map(Into::into);
        let failure = child::run(arguments, io::empty(), io::sink()).expect_err("no code");
        assert_eq!(failure.code, EXIT_USAGE);
        let expected = "this verb is the daemon's own";
        assert!(failure.message.starts_with(expected), "{}", failure.message);
    }
}
