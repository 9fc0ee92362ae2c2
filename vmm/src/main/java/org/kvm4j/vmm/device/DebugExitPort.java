package org.kvm4j.vmm.device;

import java.util.function.IntConsumer;

/**
 * Port 0xf4, where QEMU has its isa-debug-exit: a guest that writes there ends, and what it wrote
 * is its result.
 */
public final class DebugExitPort implements PortDevice {

  /** Its first port. */
  public static final int PORT = 0xf4;

  /** How many ports it takes. */
  public static final int PORTS = 4;

  private final IntConsumer exit;

  /**
   * @param exit takes what the guest wrote
   */
  public DebugExitPort(IntConsumer exit) {
    this.exit = exit;
  }

  @Override
  public int read(int offset, int size) {
    return 0;
  }

  @Override
  public void write(int offset, int size, int value) {
    exit.accept(value);
  }
}
