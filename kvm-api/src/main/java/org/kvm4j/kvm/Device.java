package org.kvm4j.kvm;

import org.kvm4j.kvm.uapi.KvmIoctl;

/**
 * A device that {@link Vm#createDevice} made in the kernel.
 *
 * <p>Safe for use by several threads. It keeps its VM alive in the kernel until it is closed.
 */
public final class Device extends Handle {

  private final ArgumentBlock arguments;

  Device(Vm vm, int fd, int type) {
    super(vm.kernel(), fd, "the device of type " + type);
    arguments = new ArgumentBlock(vm.pool());
  }

  /**
   * {@code KVM_HAS_DEVICE_ATTR}.
   *
   * @param group a group of the device's attributes
   * @param attribute the attribute in it
   * @return whether there is such an attribute (the kernel says no with ENXIO)
   */
  public synchronized boolean hasAttr(int group, long attribute) {
    return DeviceAttrs.has(this, arguments, group, attribute);
  }

  /**
   * {@code KVM_GET_DEVICE_ATTR} for an attribute of at most 8 bytes. A greater one goes through
   * {@link #ioctl} with {@link KvmIoctl#KVM_GET_DEVICE_ATTR}.
   *
   * @throws KvmException ENXIO if there is no such attribute, EPERM if it cannot be read now
   */
  public synchronized long getAttr(int group, long attribute) {
    return DeviceAttrs.get(this, arguments, group, attribute);
  }

  /**
   * {@code KVM_SET_DEVICE_ATTR} for an attribute of at most 8 bytes.
   *
   * @throws KvmException ENXIO if there is no such attribute, EPERM if it cannot be set now
   */
  public synchronized void setAttr(int group, long attribute, long value) {
    DeviceAttrs.set(this, arguments, group, attribute, value);
  }

  @Override
  public synchronized void close() {
    if (closeOnce()) {
      closeFd();
      arguments.close();
    }
  }
}
