package org.kvm4j.vmm.virtio;

import java.util.random.RandomGenerator;

/**
 * A source of random bytes.
 *
 * <p>Source: Virtual I/O Device Version 1.2, section 5.4, "Entropy Device".
 */
public final class VirtioEntropy extends VirtioDevice {

  private static final int TYPE = 4;
  private static final int PCI_CLASS = 0xff_0000;

  /** The most that a request is given, in bytes. */
  private static final int MOST = 1 << 12;

  private final RandomGenerator source;
  private final byte[] buffer = new byte[MOST];

  /**
   * @param source used with the device's lock held
   */
  public VirtioEntropy(RandomGenerator source) {
    this.source = source;
  }

  @Override
  int type() {
    return TYPE;
  }

  @Override
  int pciClass() {
    return PCI_CLASS;
  }

  @Override
  public String name() {
    return "entropy source";
  }

  @Override
  long features() {
    return 0;
  }

  @Override
  int queues() {
    return 1;
  }

  @Override
  byte[] config() {
    return new byte[0];
  }

  @Override
  boolean process(int index, Virtqueue queue) throws DriverErrorException {
    while (queue.next()) {
      Chain chain = queue.chain();
      int length = (int) Math.min(MOST, chain.writableLength());
      source.nextBytes(buffer);
      chain.write(0, buffer, 0, length);
      queue.complete(chain.head(), length);
    }
    return true;
  }
}
