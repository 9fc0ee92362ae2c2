package org.kvm4j.vmm.cli;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Tiny guests from the command line to their exit codes, on the emulated backend. */
@Timeout(60)
class RunGuestTests {

  @TempDir
  @SuppressWarnings("NullAway.Init") // set by JUnit
  private Path directory;

  private final Cli cli = new Cli();

  /** Runs machine code, in real mode at 0x7c00 if nothing else is said. */
  private int guest(String code, String... options) throws IOException {
    byte[] program = HexFormat.of().parseHex(code.replace(" ", ""));
    Path file = Files.write(directory.resolve("guest.bin"), program);
    List<String> line = new ArrayList<>(List.of("run", "--kernel", file.toString()));
    if (!List.of(options).contains("--mode")) {
      line.addAll(List.of("--mode", "real"));
    }
    if (!List.of(options).contains("--memory")) {
      line.addAll(List.of("--memory", "1M"));
    }
    line.addAll(List.of(options));
    return cli.run(line.toArray(String[]::new));
  }

  // mov dx, 0x3f8; mov al, 'H'; out dx, al; mov al, 'i'; out dx, al
  private static final String SAY_HI = "ba f8 03 b0 48 ee b0 69 ee ";
  private static final String HALT = "f4";
  private static final String LOOP = "eb fe";

  @Test
  void a_guest_that_halts_ends_with_0() throws IOException {
    assertEquals(ExitCodes.OK, guest(SAY_HI + HALT));
    assertEquals("Hi", cli.guest());
    assertEquals("", cli.err());
  }

  @Test
  void the_last_words_begin_a_line_where_the_guests_did_not_end_one() throws IOException {
    cli.withErrorsInOutput();
    assertEquals(65, guest(SAY_HI + "b0 01 e6 f4"));
    assertEquals("\nkvm4j: the guest ended with code 1\n", cli.err());
  }

  @Test
  void a_line_that_the_guest_has_ended_is_not_followed_by_an_empty_one() throws IOException {
    cli.withErrorsInOutput();
    assertEquals(65, guest(SAY_HI + "b0 0a ee b0 01 e6 f4"));
    assertEquals("kvm4j: the guest ended with code 1\n", cli.err());
  }

  @ParameterizedTest
  @CsvSource({"0,0", "1,65", "62,126", "63,127", "255,127"})
  void the_debug_exits_code_becomes_the_exit_code(int code, int exitCode) throws IOException {
    // mov al, code; out 0xf4, al
    assertEquals(exitCode, guest(String.format("b0 %02x e6 f4", code) + HALT));
    assertEquals(code == 0 ? "" : "kvm4j: the guest ended with code " + code + "\n", cli.err());
  }

  @Test
  void test_devices_have_a_register_where_the_debug_console_was() throws IOException {
    // mov al, 5; out 0xe9, al; in al, 0xe1; out 0xf4, al
    assertEquals(64 + 5, guest("b0 05 e6 e9 e4 e1 e6 f4", "--test-devices"));
    assertEquals("", cli.guest());
  }

  @Test
  void memory_is_write_back_as_firmware_leaves_it() throws IOException {
    // mov ecx, 0x2ff; rdmsr; then out 0xf4, al, or mov al, ah before
    String read = "66 b9 ff 02 00 00 0f 32 ";
    assertEquals(64 + 6, guest(read + "e6 f4"), "the type");
    assertEquals(64 + 8, guest(read + "88 e0 e6 f4"), "MTRRs are enabled");
  }

  @Test
  void amds_hardware_configuration_tells_that_the_tsc_counts_at_the_rate_of_p0()
      throws IOException {
    // mov ecx, 0xc0010015; rdmsr; then bit 24: shr eax, 24; out 0xf4, al
    String read = "66 b9 15 00 01 c0 0f 32 66 c1 e8 18 e6 f4";
    assertEquals(64 + 1, guest(read, "--cpu", "genoa"));
    // The same with mov eax, 0x148; xor edx, edx; wrmsr before, which takes bit 24 away.
    String write = "66 b9 15 00 01 c0 66 b8 48 01 00 00 66 31 d2 0f 30 ";
    assertEquals(ExitCodes.OK, guest(write + read, "--cpu", "genoa"));
  }

  @Test
  void the_msrs_that_linux_sets_up_an_amd_processor_by_are_there() throws IOException {
    // mov ecx, 0xc0010010; rdmsr; mov ecx, 0xc001001f; bts edx, 14; wrmsr; rdmsr; mov al, dh;
    // out 0xf4, al
    String code =
        "66 b9 10 00 01 c0 0f 32 66 b9 1f 00 01 c0 66 0f ba ea 0e 0f 30 0f 32 88 f0 e6 f4";
    assertEquals(ExitCodes.OK, guest(code, "--cpu", "genoa"));
  }

  @Test
  void a_triple_fault_is_told_with_the_registers() throws IOException {
    // lidt [0x7c08]; int3; a limit of 0
    assertEquals(ExitCodes.SHUTDOWN, guest("0f 01 1e 08 7c cc 90 90 00 00 00 00 00 00"));
    assertEquals(
        "kvm4j: the guest shut down (triple fault): #BP at 0000:7c05 (cc: int3) ->"
            + " #GP(0x1a: IDT entry 3) -> #GP(0x6b: IDT entry 13) = #DF -> #GP(0x43: IDT entry 8)",
        cli.err().lines().findFirst().orElse(""));
    assertTrue(cli.err().contains("vCPU 0 in real mode"), cli.err());
    assertTrue(cli.err().contains("RIP 0000000000007c05"), cli.err());
  }

  @Test
  void a_triple_fault_by_an_instruction_that_cannot_run_says_why() throws IOException {
    // 64-bit mode with XSAVE not switched on: vxorps xmm0, xmm0, xmm0
    assertEquals(
        ExitCodes.SHUTDOWN,
        guest("c5 f8 57 c0", "--mode", "long", "--memory", "2M", "--cpu", "kvm4j-v1,+xsave,+avx"));
    String first = cli.err().lines().findFirst().orElse("");
    assertTrue(
        first.contains("#UD at RIP 0x100000 (c5 f8 57 c0: vxorps xmm0,xmm0,xmm0) -> "), first);
    assertTrue(first.endsWith("; CR4.OSXSAVE is 0"), first);
  }

  @Test
  void a_flat_guest_in_long_mode_starts_with_sse_switched_on() throws IOException {
    // cvtsi2sd xmm0, rdi (0); cvttsd2si eax, xmm0; mov al, 3; out 0xf4, al
    assertEquals(
        64 + 3,
        guest("f2 48 0f 2a c7 f2 0f 2c c0 b0 03 e6 f4", "--mode", "long", "--memory", "2M"));
    assertEquals("kvm4j: the guest ended with code 3\n", cli.err());
  }

  @Test
  void a_processor_has_the_width_of_physical_addresses_that_is_asked_for() throws IOException {
    // mov eax, 0x80000008; cpuid; out 0xf4, al
    String code = "66 b8 08 00 00 80 0f a2 e6 f4";
    assertEquals(64 + 36, guest(code, "--cpu", "kvm4j-v1,phys-bits=36,-pku"));
  }

  @Test
  void a_guest_on_bare_metal_has_vmx_and_no_hypervisor() throws IOException {
    // mov eax, 1; cpuid; shr ecx, 5 or 31; and cl, 1; mov al, cl; out 0xf4, al
    String vmx = "66 b8 01 00 00 00 0f a2 66 c1 e9 05 80 e1 01 88 c8 e6 f4 f4";
    String hypervisor = vmx.replace("e9 05", "e9 1f");
    assertEquals(64 + 1, guest(vmx, "--bare-metal"));
    assertEquals(ExitCodes.OK, guest(hypervisor, "--bare-metal"));
    assertEquals(ExitCodes.OK, guest(vmx, "--bare-metal", "--cpu", "kvm4j-v1,-vmx"));
    assertEquals(ExitCodes.OK, guest(vmx));
    assertEquals(64 + 1, guest(hypervisor));
  }

  @Test
  void a_guest_on_bare_metal_ends_by_hlt() throws IOException {
    assertEquals(ExitCodes.OK, guest(HALT, "--bare-metal"));
    assertEquals("", cli.err());
  }

  @Test
  void a_guest_without_x2apic_cannot_switch_it_on() throws IOException {
    // mov ecx, 0x1b; rdmsr; or ah, 4; jmp over what #GP leads to (mov al, 13; out 0xf4, al; hlt);
    // mov dword [13 * 4], 0x7c0d; wrmsr; mov eax, 1; cpuid; shr ecx, 21; and cl, 1; mov al, cl; out
    // 0xf4, al
    String code =
        "66 b9 1b 00 00 00 0f 32 80 cc 04 eb 05 b0 0d e6 f4 f4 66 c7 06 34 00 0d 7c 00 00 0f 30"
            + " 66 b8 01 00 00 00 0f a2 66 c1 e9 15 80 e1 01 88 c8 e6 f4 f4";
    assertEquals(64 + 1, guest(code, "--irqchip", "kernel"));
    assertEquals(64 + 13, guest(code, "--irqchip", "kernel", "--cpu", "kvm4j-v1,-x2apic"));
  }

  @Test
  void a_flat_guest_in_long_mode_starts_on_a_processor_without_sse() throws IOException {
    assertEquals(
        ExitCodes.OK, guest(HALT, "--mode", "long", "--memory", "2M", "--cpu", "kvm4j-v1,-sse"));
    assertEquals("", cli.err());
  }

  @Test
  void a_walk_that_leaves_memory_is_told() throws IOException {
    // mov eax, 0x80000000; mov cr3, rax: no memory is there
    assertEquals(
        ExitCodes.INTERNAL_ERROR,
        guest("b8 00 00 00 80 0f 22 d8 90", "--mode", "long", "--memory", "2M"));
    String first = cli.err().lines().findFirst().orElse("");
    assertEquals(
        "kvm4j: the kernel cannot run the guest on: internal error, emulation: the walk of linear"
            + " 0x100008 from CR3 0x80000000 comes to a PML4E at gpa 0x80000000, where no memory"
            + " slot is",
        first);
  }

  @Test
  void time_is_up() throws IOException {
    assertEquals(ExitCodes.TIMEOUT, guest(LOOP, "--timeout", "0.3"));
    assertTrue(cli.err().startsWith("kvm4j: stopped after the 0.3 s of --timeout\n"), cli.err());
    assertTrue(
        cli.err().contains("  vCPU 0 in real mode, CPL 0\n  RIP 0000000000007c00"), cli.err());
  }

  @Test
  void time_is_up_on_bare_metal() throws IOException {
    assertEquals(ExitCodes.TIMEOUT, guest(LOOP, "--timeout", "0.3", "--bare-metal"));
    assertTrue(
        cli.err().contains("  vCPU 0 in real mode, CPL 0, outside of VMX operation\n"), cli.err());
  }

  @Test
  void time_is_up_on_bare_metal_without_vmx() throws IOException {
    assertEquals(
        ExitCodes.TIMEOUT,
        guest(LOOP, "--timeout", "0.3", "--bare-metal", "--cpu", "kvm4j-v1,-vmx"));
    assertTrue(cli.err().contains("  vCPU 0 in real mode, CPL 0\n"), cli.err());
  }

  @Test
  void statistics_tell_of_exits_instructions_and_times() throws IOException {
    assertEquals(ExitCodes.OK, guest(SAY_HI + HALT, "--stats"));
    assertEquals("Hi", cli.guest());
    String err = cli.err();
    assertTrue(err.contains("the guest halted"), err);
    assertTrue(
        err.matches(
            "(?s).*\n"
                + "Exit to the VMM +Samples +Samples% +Time% +Time +Min Time +Max Time +Avg time\n"
                + ".*"),
        err);
    assertTrue(err.matches("(?s).*\nIO +2 +66\\.67% +[0-9.]+% .*"), err);
    assertTrue(err.matches("(?s).*\nVM exit +Samples +Samples%\n.*\nHLT +1 +[0-9.]+%\n.*"), err);
    assertTrue(err.matches("(?s).*\n  out 0x3f8 serial port +2 .*"), err);
    assertTrue(err.matches("(?s).*\nHLT +1 .*"), err);
    assertTrue(err.contains("\ninstructions: "), err);
    assertTrue(err.contains("MIPS"), err);
    assertTrue(err.matches("(?s).*\ntime: .* wall, .* CPU; .* in the guest, .* in the VMM\n"), err);
  }

  @Test
  void statistics_are_printed_when_time_is_up_too() throws IOException {
    assertEquals(ExitCodes.TIMEOUT, guest(LOOP, "--timeout", "0.3", "--stats"));
    assertTrue(cli.err().contains("vCPU 0 in real mode"), cli.err());
    assertTrue(cli.err().contains("interrupted (EINTR)"), cli.err());
  }

  @Test
  void the_text_that_was_waited_for_ends_the_run() throws IOException {
    // Says Hi for ever.
    assertEquals(ExitCodes.OK, guest(SAY_HI + "eb f5", "--until", "iHiH"));
    assertEquals("HiHiH", cli.guest());
    assertEquals("", cli.err());
  }

  @Test
  void a_guest_that_ends_without_the_text_is_told() throws IOException {
    assertEquals(ExitCodes.TEXT_NOT_SEEN, guest(SAY_HI + HALT, "--until", "Bye"));
    assertEquals("kvm4j: the output did not contain the text of --until: Bye\n", cli.err());
  }

  @Test
  void input_reaches_the_guest() throws IOException {
    cli.withInput("kvm4j!");
    // again: mov dx, 0x3fd; in al, dx; test al, 1; jz again; mov dl, 0xf8; in al, dx; out dx, al;
    // cmp al, '!'; jne again; hlt
    String echo = "ba fd 03 ec a8 01 74 f8 b2 f8 ec ee 3c 21 75 f0 f4";
    assertEquals(ExitCodes.OK, guest(echo, "--timeout", "20"));
    assertEquals("kvm4j!", cli.guest());
  }

  @Test
  void serial_output_goes_to_a_file() throws IOException {
    Path file = directory.resolve("serial");
    assertEquals(ExitCodes.OK, guest(SAY_HI + HALT, "--serial", "file:" + file));
    assertEquals("Hi", Files.readString(file, StandardCharsets.ISO_8859_1));
    assertEquals("", cli.guest());
  }

  @Test
  void serial_output_goes_nowhere() throws IOException {
    assertEquals(ExitCodes.OK, guest(SAY_HI + HALT, "--serial", "none"));
    assertEquals("", cli.guest());
  }

  @Test
  void the_debug_console_is_output_too() throws IOException {
    // mov al, 'x'; out 0xe9, al
    assertEquals(ExitCodes.OK, guest("b0 78 e6 e9" + HALT));
    assertEquals("x", cli.guest());
  }

  @Test
  void a_reset_ends_the_run_and_is_told() throws IOException {
    assertEquals(ExitCodes.OK, guest("b0 fe e6 64" + LOOP)); // the keyboard controller
    assertEquals("kvm4j: the guest reset the machine\n", cli.err());
  }

  @Test
  void a_closed_pipe_ends_the_run_quietly() throws IOException {
    cli.withOutput(
        new OutputStream() {
          @Override
          public void write(int b) throws IOException {
            throw new IOException("Broken pipe");
          }
        });
    assertEquals(ExitCodes.OUTPUT_CLOSED, guest(SAY_HI + "eb f5"));
    assertEquals("", cli.err());
  }

  @Test
  void all_processors_of_a_flat_binary_start_with_their_number() throws IOException {
    // mov ax, di; add al, '0'; mov dx, 0x3f8; out dx, al; hlt
    assertEquals(ExitCodes.OK, guest("89 f8 04 30 ba f8 03 ee f4", "--cpus", "3"));
    assertEquals(
        "012",
        cli.guest().chars().sorted().mapToObj(Character::toString).reduce("", String::concat));
  }

  @Test
  void under_the_virtual_clock_runs_are_alike() throws IOException {
    // The seconds, and the low bits of the TSC:
    // mov al, 0; out 0x70, al; in al, 0x71; mov dx, 0x3f8; out dx, al; rdtsc; out dx, al; hlt
    String clock = "b0 00 e6 70 e4 71 ba f8 03 ee 0f 31 ba f8 03 ee 88 e0 ee f4";
    assertEquals(ExitCodes.OK, guest(clock, "--clock", "virtual"));
    String first = cli.guest();
    cli.guest.reset();
    assertEquals(ExitCodes.OK, guest(clock, "--clock", "virtual"));
    assertEquals(first, cli.guest());
    assertEquals(3, first.length());
    cli.guest.reset();
    assertEquals(ExitCodes.OK, guest(clock, "--clock", "virtual", "--instruction-time", "1000"));
    assertNotEquals(first, cli.guest(), "its TSC goes faster");
  }

  @Test
  void output_that_is_lost_at_the_very_end_is_no_success() throws IOException {
    cli.withOutput(
        new OutputStream() {
          @Override
          public void write(int b) throws IOException {
            throw new IOException("No space left on device");
          }
        });
    assertEquals(ExitCodes.FAILURE, guest(SAY_HI + HALT));
    assertEquals("kvm4j: standard output cannot be written: No space left on device\n", cli.err());
  }

  @Test
  void a_file_that_takes_no_more_is_told() throws IOException {
    assumeTrue(Files.exists(Path.of("/dev/full")), "no /dev/full");
    assertEquals(ExitCodes.FAILURE, guest(SAY_HI + HALT, "--serial", "file:/dev/full"));
    assertTrue(cli.err().startsWith("kvm4j: --serial file:/dev/full: "), cli.err());
    assertEquals(1, cli.err().lines().count(), cli.err());
  }

  @Test
  void a_reader_that_does_not_read_cannot_hold_up_the_timeout() throws IOException {
    CountDownLatch never = new CountDownLatch(1);
    cli.withOutput(
        new OutputStream() {
          @Override
          public void write(int b) throws IOException {
            try {
              never.await();
            } catch (InterruptedException e) {
              throw new IOException(e);
            }
          }
        });
    assertEquals(ExitCodes.TIMEOUT, guest(SAY_HI + "eb f5", "--timeout", "0.5"));
    assertTrue(cli.err().contains("the end of the guest's output is lost"), cli.err());
    never.countDown();
  }

  @Test
  void memory_that_nobody_touches_costs_nothing() throws IOException {
    assertEquals(ExitCodes.OK, guest(SAY_HI + HALT, "--memory", "16G"));
    assertEquals("Hi", cli.guest());
  }

  @Test
  void a_multiboot_kernel_gets_its_arguments_and_modules() throws IOException {
    // cld; mov dx, 0x3f8; mov esi, [ebx+16]; call print; mov esi, [ebx+24]; mov esi, [esi];
    // call print;
    // mov al, 0; out 0xf4, al; print: lodsb; test al, al; jz 1f; out dx, al; jmp print; 1: ret
    byte[] code =
        HexFormat.of()
            .parseHex(
                "fc 66 ba f8 03 8b 73 10 e8 0e 00 00 00 8b 73 18 8b 36 e8 04 00 00 00 b0 00 e6 f4"
                        .replace(" ", "")
                    + "ac84c07403eeebf8c3");
    ByteBuffer elf = ByteBuffer.allocate(0x80 + 12 + code.length).order(ByteOrder.LITTLE_ENDIAN);
    elf.putInt(0, 0x464c_457f).put(4, (byte) 1).put(5, (byte) 1).put(6, (byte) 1);
    elf.putShort(16, (short) 2).putShort(18, (short) 3);
    elf.putInt(24, 0x10_000c).putInt(28, 52).putShort(42, (short) 32).putShort(44, (short) 1);
    elf.putInt(52, 1).putInt(56, 0x80).putInt(60, 0x10_0000).putInt(64, 0x10_0000);
    elf.putInt(68, 12 + code.length).putInt(72, 0x1000);
    elf.putInt(0x80, 0x1bad_b002).putInt(0x84, 0).putInt(0x88, -0x1bad_b002);
    elf.put(0x8c, code);
    byte[] file = new byte[elf.capacity()];
    elf.get(0, file);
    Path kernel = Files.write(directory.resolve("kernel"), file);
    Path module = Files.write(directory.resolve("module"), "of the module\0".getBytes(US_ASCII));
    assertEquals(
        ExitCodes.OK,
        cli.run(
            "run",
            "--kernel",
            kernel.toString(),
            "--memory",
            "4M",
            "--append",
            "a=1 b ",
            "--module",
            module + " x y"),
        cli.err());
    assertEquals(kernel + " a=1 b of the module", cli.guest());
  }
}
