//! The binary `kiln`.

#[global_allocator]
static ALLOCATOR: kiln_kernels::LineAligned = kiln_kernels::LineAligned;

fn main() -> std::process::ExitCode {
    kiln::cli::main()
}
