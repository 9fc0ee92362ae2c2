package org.kvm4j.cpu.core;

/**
 * An instruction cannot go on for now: thrown by a {@link Platform} whose devices are accessed only
 * by instructions that run by themselves ({@link Platform#beginInstruction}), or have not answered
 * yet. Nothing of the instruction has happened; the engine takes it up again.
 */
public final class DeviceAccess extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** The only one: it says nothing, and has no trace. */
  public static final DeviceAccess AGAIN = new DeviceAccess();

  private DeviceAccess() {
    super("again", null, false, false);
  }
}
