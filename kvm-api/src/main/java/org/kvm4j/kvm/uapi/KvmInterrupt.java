package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_interrupt}: offsets in bytes. The argument of {@code KVM_INTERRUPT}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmInterrupt {

  /** Size in bytes. */
  public static final int SIZEOF = 4;

  /** {@code irq}: u32. */
  public static final int IRQ = 0;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_interrupt", SIZEOF).field("irq", IRQ, 4, "u32").build();

  private KvmInterrupt() {}
}
