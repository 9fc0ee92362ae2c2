package org.kvm4j.vmm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.kvm4j.kvm.Bytes;
import org.kvm4j.kvm.Exit;
import org.kvm4j.vmm.device.EchoDevice;
import org.kvm4j.vmm.device.InterruptLine;
import org.kvm4j.vmm.device.MmioBus;
import org.kvm4j.vmm.device.PortBus;
import org.kvm4j.vmm.device.Uart16550;

class ExitHandlerTests {

  private final StringBuilder sent = new StringBuilder();
  private final PortBus ports = new PortBus();
  private final MmioBus mmio = new MmioBus();
  private final Uart16550 uart = new Uart16550(b -> sent.append((char) b), InterruptLine.NONE);
  private int ended = -1;
  private final ExitHandler handler = new ExitHandler(ports, mmio, vector -> ended = vector);

  ExitHandlerTests() {
    ports.attach(Uart16550.COM1, Uart16550.PORTS, uart, "serial port");
    mmio.attach(EchoDevice.ADDRESS, EchoDevice.SIZE, new EchoDevice(), "echo device");
  }

  private Ending ending(Exit exit) {
    return assertInstanceOf(Outcome.End.class, handler.handleExit(exit)).ending();
  }

  @Test
  void a_port_write_reaches_its_device() {
    assertSame(
        Outcome.RESUME, handler.handleExit(new Exit.IoOut(0x3f8, 1, 1, Bytes.of((byte) 'A'))));
    assertEquals("A", sent.toString());
  }

  @Test
  void a_string_of_writes_reaches_it_in_order() {
    handler.handleExit(new Exit.IoOut(0x3f8, 1, 3, Bytes.of((byte) 'a', (byte) 'b', (byte) 'c')));
    assertEquals("abc", sent.toString());
  }

  @Test
  void a_port_read_is_answered() throws InterruptedException {
    uart.receive('x');
    Outcome outcome = handler.handleExit(new Exit.IoIn(0x3f8, 1, 2));
    assertArrayEquals(
        new byte[] {'x', 0}, assertInstanceOf(Outcome.PortData.class, outcome).data());
    outcome = handler.handleExit(new Exit.IoIn(0x1234, 4, 1));
    assertArrayEquals(
        new byte[] {-1, -1, -1, -1}, assertInstanceOf(Outcome.PortData.class, outcome).data());
  }

  @Test
  void a_devices_memory_is_written_and_read() {
    handler.handleExit(new Exit.MmioWrite(EchoDevice.ADDRESS + 8, 2, 0x1234));
    assertEquals(
        new Outcome.MmioData(0x1234),
        handler.handleExit(new Exit.MmioRead(EchoDevice.ADDRESS + 8, 4)));
    assertEquals(
        new Outcome.MmioData(0xffff), handler.handleExit(new Exit.MmioRead(0xe000_0000L, 2)));
  }

  @Test
  void the_end_of_an_interrupt_is_the_io_apics() {
    assertEquals(Outcome.RESUME, handler.handleExit(new Exit.IoapicEoi(0x31)));
    assertEquals(0x31, ended);
  }

  @Test
  void a_halt_is_the_processors_alone() {
    assertInstanceOf(Outcome.Halt.class, handler.handleExit(new Exit.Hlt()));
  }

  static Stream<Exit> passing() {
    return Stream.of(
        new Exit.Interrupted(),
        new Exit.Again(),
        new Exit.Intr(),
        new Exit.IrqWindowOpen(),
        new Exit.SetTpr(3));
  }

  @ParameterizedTest
  @MethodSource("passing")
  void what_only_passes_by_does_not_stop_the_guest(Exit exit) {
    assertSame(Outcome.RESUME, handler.handleExit(exit));
  }

  @Test
  void a_shutdown_ends_the_machine() {
    assertEquals(
        Ending.of(Ending.Kind.SHUTDOWN, "the guest shut down (triple fault)"),
        ending(new Exit.Shutdown("")));
    assertEquals(
        Ending.of(Ending.Kind.SHUTDOWN, "the guest shut down (triple fault): #UD"),
        ending(new Exit.Shutdown("#UD")));
  }

  @Test
  void system_events_power_off_and_reset() {
    assertEquals(Ending.Kind.POWERED_OFF, ending(new Exit.SystemEvent(1, List.of())).kind());
    assertEquals(Ending.Kind.RESET, ending(new Exit.SystemEvent(2, List.of())).kind());
    assertEquals(Ending.Kind.INTERNAL_ERROR, ending(new Exit.SystemEvent(3, List.of(7L))).kind());
  }

  @Test
  void an_internal_error_names_the_instruction_that_could_not_be_emulated() {
    Ending ending = ending(new Exit.InternalError(1, List.of(1L, 0xdb9b_03L, 0L), ""));
    assertEquals(Ending.Kind.INTERNAL_ERROR, ending.kind());
    assertEquals(
        "the kernel cannot run the guest on: internal error, emulation, at instruction 9b db 00",
        ending.message());
    assertTrue(
        ending(new Exit.InternalError(3, List.of(0x8000_0b0eL, 2L), ""))
            .message()
            .endsWith("data 0x80000b0e 0x2"));
  }

  @Test
  void a_failed_entry_gives_the_hardwares_reason() {
    Ending ending = ending(new Exit.FailEntry(0x8000_0021L, 0, ""));
    assertEquals(Ending.Kind.INTERNAL_ERROR, ending.kind());
    assertTrue(ending.message().endsWith("reason 0x80000021"));
    assertEquals(
        "VM entry failed: because",
        ending(new Exit.FailEntry(0x8000_0021L, 0, "VM entry failed: because")).message());
  }

  @Test
  void an_exit_that_nobody_knows_is_told_with_all_its_bytes() {
    Ending ending = ending(new Exit.Unknown(77, Bytes.of((byte) 0xab)));
    assertEquals(Ending.Kind.INTERNAL_ERROR, ending.kind());
    assertTrue(ending.message().contains("exit reason 77"), ending.message());
    assertTrue(ending.message().contains("ab"), ending.message());
  }

  @Test
  void endings_are_orderly_where_the_guest_meant_them() {
    for (Ending.Kind kind : Ending.Kind.values()) {
      boolean meant =
          List.of(
                  Ending.Kind.HALTED,
                  Ending.Kind.POWERED_OFF,
                  Ending.Kind.RESET,
                  Ending.Kind.DEBUG_EXIT,
                  Ending.Kind.TEXT_SEEN)
              .contains(kind);
      assertEquals(meant, Ending.of(kind, "").orderly(), kind.name());
    }
  }
}
